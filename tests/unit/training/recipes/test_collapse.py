"""The published MFCC network predicts nothing and is refused for it; the cure is that of docs/collapse.md."""

from pathlib import Path

import numpy as np
import pytest

from genrestream.schemas import Kind, Modality
from genrestream.training.baselines import prior_only
from genrestream.training.errors import TrainingError
from genrestream.training.evaluate import refuse_collapsed
from genrestream.training.head_rows import MODALITIES
from genrestream.training.metrics import Predictions, decide, measure_decided
from genrestream.training.split import Fold, Split, split_by_group
from tests.unit.training.recipes.made_tracks import make_tracks

pytest.importorskip("torch")
pytestmark = pytest.mark.training

from benchmarks.collapse import CURED, PUBLISHED, changed  # noqa: E402
from genrestream.training.fit_loop import FitSettings  # noqa: E402
from genrestream.training.recipes.branches import branch_features  # noqa: E402
from genrestream.training.recipes.compare import FittedNetwork, fit_compared  # noqa: E402
from genrestream.training.recipes.data import RecipeRows  # noqa: E402
from genrestream.training.recipes.spec import RecipeSpec, load_recipe  # noqa: E402
from genrestream.training.recipes.train import train_recipe  # noqa: E402
from genrestream.training.request import TrainRequest  # noqa: E402

ITEMS, LABELS, SECONDS = 320, 12, 1
SIGNAL = 0.4
TINY = {
    "branch": {"width": 0.1, "middle_s": SECONDS, "dropout": 0.2},
    "balance": {"draws": 6, "most_per_pair": 20},
    "fit": {"epochs": 6, "patience_epochs": 6, "batch_items": 48},
}


def made() -> tuple[RecipeRows, np.ndarray, Split]:
    """Recordings in which each of an item's labels makes three mel bands louder, at any level."""
    rng = np.random.default_rng(0)
    shares = np.linspace(3.0, 1.0, LABELS) / (2.0 * LABELS)
    has = rng.random((ITEMS, LABELS)) < 0.4 * shares
    has[np.arange(ITEMS), rng.choice(LABELS, ITEMS, p=shares)] = True
    timbres = np.zeros((LABELS, 26))
    for label in range(LABELS):
        timbres[label, 2 * label : 2 * label + 3] = 1.0
    level = rng.normal(2.0, 0.7, (ITEMS, 1, 1))
    mel = level + (has @ timbres)[:, None, :] * SIGNAL + rng.normal(0, 0.5, (ITEMS, 86 * SECONDS, 26))
    kept = {Modality.AUDIO: np.maximum(mel, 0)[:, None].astype(np.float32)}
    presence = np.zeros((ITEMS, len(MODALITIES)), np.float32)
    presence[:, MODALITIES.index(Modality.AUDIO)] = 1.0
    rows = RecipeRows(kept, {Modality.AUDIO: np.arange(ITEMS)}, presence, 0)
    return rows, has, split_by_group(has, [str(item) for item in range(ITEMS)], 0)


def fitted(spec: RecipeSpec) -> FittedNetwork:
    rows, has, split = made()
    features = {Modality.AUDIO: branch_features(spec.branches[Modality.AUDIO], [], 1000)}
    request = TrainRequest([], Kind.TRACK, "genres", "genres", Path(), Path(), fit=FitSettings(seed=0))
    return fit_compared(request, spec, features, rows, has, split, lambda step, done, total: None)[-1]


def judged(found: FittedNetwork, thresholds: np.ndarray) -> float:
    """The mean average precision on the test fold; raises TrainingError if the network has collapsed."""
    _, has, split = made()
    test = split[Fold.TEST]
    confidences = found.predict(test, found.embedded.presence[test])
    head = measure_decided(has[test], Predictions(confidences, decide(confidences, thresholds)))
    prior = measure_decided(has[test], prior_only(has[split[Fold.TRAIN]], len(test)))
    refuse_collapsed(confidences, thresholds, head, prior)
    return head.mean_ap


def test_the_published_form_is_refused_and_the_recipe_learns():
    """At one half the published form predicts nothing. With thresholds chosen on their fold the very same
    network does, since it ranks better than the labels' frequencies; the recipe ranks far better still."""
    recipe = changed(load_recipe(PUBLISHED), TINY)
    published = fitted(recipe)
    assert (published.thresholds == 0.5).all()
    with pytest.raises(TrainingError, match="no confidence reaches its threshold, so it predicts nothing"):
        judged(published, published.thresholds)
    chosen = fitted(changed(recipe, {"recipe": {"threshold": None}}))
    assert judged(chosen, chosen.thresholds) > 0.15
    cured = fitted(changed(load_recipe("track_mfcc_cnn"), TINY))
    assert judged(cured, cured.thresholds) > 1.4 * judged(chosen, chosen.thresholds)


def test_the_two_recipes_differ_by_the_cure_alone():
    """At one size and with all labels they are the same recipe, so that only the cure is compared."""
    cure = {
        **CURED,
        "balance": {**CURED["balance"], "keep_labels": None},
        "recipe": {**CURED["recipe"], "threshold": None},
    }
    published, cured = (changed(load_recipe(name), TINY) for name in (PUBLISHED, "track_mfcc_cnn"))
    said = {"name", "description"}
    assert changed(published, cure).model_dump(exclude=said) == cured.model_dump(exclude=said)


def test_nothing_is_written_of_the_published_form(tmp_path):
    """From a set of recordings to the refusal, which says why; neither encoder nor candidate is left."""
    genres = {f"genre {place}": (200.0 * 1.2**place, "night home") for place in range(LABELS)}
    tracks = make_tracks(tmp_path / "tracks", ITEMS, genres=genres)
    request = TrainRequest([tracks], Kind.TRACK, "genres", "genres", tmp_path / "models", tmp_path / "store")
    request.models.mkdir()
    with pytest.raises(TrainingError, match="no confidence reaches its threshold, so it predicts nothing"):
        train_recipe(request, changed(load_recipe(PUBLISHED), TINY))
    assert not any(request.models.iterdir())
