"""Where items have several modalities, fusing them costs nothing; where it does, the gate says so."""

import numpy as np
import pytest

from genrestream.schemas import Modality
from genrestream.schemas.releases import Wanted
from genrestream.training.head_rows import HeadRows
from tests.unit.training.heads import make_rows

pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.beside_branches import BesideBranches, beside_branches, branches_alone  # noqa: E402
from genrestream.training.evaluate import Slice, predict_slices  # noqa: E402
from genrestream.training.fit_head import FittedHead, fit_head  # noqa: E402
from genrestream.training.fit_loop import FitSettings  # noqa: E402
from genrestream.training.heads import modality_of, subset_number  # noqa: E402
from genrestream.training.metrics import Predictions, decide, mean_average_precision  # noqa: E402
from genrestream.training.split import Fold, split_by_group  # noqa: E402

ITEMS = 800
BOTH = (Modality.TEXT, Modality.IMAGE)
GROUPS = [str(row // 2) for row in range(ITEMS)]


def with_noise(noise: Modality | None) -> tuple[HeadRows, np.ndarray]:
    """Items with both modalities, of which `noise` is that of other items: it says nothing of the labels."""
    own, targets = make_rows(ITEMS, seed=0, modalities=BOTH, absent=0.0)
    others, _ = make_rows(ITEMS, seed=1, modalities=BOTH, absent=0.0)
    embeddings = {modality: (others if modality is noise else own).embeddings[modality] for modality in BOTH}
    terms = others.terms if noise is Modality.TEXT else own.terms
    return HeadRows(embeddings, terms, own.presence), targets


def fitted(rows: HeadRows, targets: np.ndarray) -> tuple[FittedHead, np.ndarray]:
    """The head, and the rows of its test fold."""
    split = split_by_group(targets, GROUPS, 0)
    return fit_head(rows, targets, split, GROUPS, FitSettings(epochs=4)), split[Fold.TEST]


def measured(head: FittedHead, test: np.ndarray, rows: HeadRows, targets: np.ndarray) -> BesideBranches:
    """The slice of both modalities."""
    thresholds = np.full(targets.shape[1], 0.5)
    parts = predict_slices(head.predict, test, rows.presence, thresholds, head.modalities)
    found = beside_branches(parts, targets, GROUPS, 0)
    assert list(found) == ["text+image"]
    return found["text+image"]


@pytest.mark.parametrize("noise", BOTH)
def test_a_branch_of_pure_noise_takes_nothing_from_the_good_one(noise):
    """Whichever it is: alone it ranks no better than chance (the labels' share is 0.26), and together with
    it the other ranks as well as without, within 0.02."""
    rows, targets = with_noise(noise)
    found = measured(*fitted(rows, targets), rows, targets)
    (good,) = {*BOTH} - {noise}
    assert found.best == good
    assert found.alone[noise] < 0.4
    assert found.alone[good] > 0.5
    assert found.gate.passed
    assert found.gate.head > found.gate.other - 0.02


def test_two_branches_that_both_know_are_better_together():
    """Each sees the labels through noise of its own."""
    rows, targets = with_noise(None)
    found = measured(*fitted(rows, targets), rows, targets)
    assert found.gate.passed
    assert found.gate.head > found.gate.other + 0.01
    assert found.gate.wins > 0.9


def test_a_gate_that_listens_to_noise_is_found_out():
    """The same head, with all of its weights for the two modalities on the branch of noise: worse than text
    alone beyond doubt, by the very figures of the two."""
    rows, targets = with_noise(Modality.IMAGE)
    head, test = fitted(rows, targets)
    number = subset_number(BOTH)
    for branch, name in enumerate(head.head.branches.names):
        head.head.gate.weights[number, branch] = float(modality_of(name) is Modality.IMAGE)
    gate = measured(head, test, rows, targets).gate
    assert (gate.rival, gate.wanted) == ("text alone on text+image", Wanted.NOT_WORSE)
    assert not gate.passed
    assert gate.lead is not None
    assert gate.lead[1] < 0
    text_alone = rows.presence[test] * np.array([1, 0, 0], np.float32)
    for figure, presence in ((gate.head, rows.presence[test]), (gate.other, text_alone)):
        wanted = mean_average_precision(targets[test], head.predict(test, presence))
        assert figure == pytest.approx(wanted, abs=1e-4)


def test_the_branches_of_one_modality_are_rivals_too():
    """Text is heard as words and as an embedding: alone each is what its own logits rank. All of text's
    weight on the embedding, turned round, is worse than the best of both beyond doubt; where a modality has
    one branch, that is not listed."""
    rows, targets = with_noise(None)
    head, test = fitted(rows, targets)
    thresholds = np.full(targets.shape[1], 0.5)

    def beside() -> dict[str, BesideBranches]:
        parts = predict_slices(head.predict, test, rows.presence, thresholds, head.modalities)
        return beside_branches(parts, targets, GROUPS, 0, branches_alone(head, parts))

    branches = ("text: words", "text: embedding")
    good = beside()
    assert {name: set(found.alone) for name, found in good.items()} == {
        "text": {*branches},
        "text+image": {*branches, *BOTH},
    }
    assert head.head.branches.names[:2] == ("terms", "text")
    for place, name in enumerate(branches):
        wanted = mean_average_precision(targets[test], head.logits[test, place])
        assert good["text"].alone[name] == pytest.approx(wanted)
    assert good["text"].gate.passed
    assert good["text"].gate.rival == f"{good['text'].best} alone on text"

    weights = head.head.gate.weights[subset_number([Modality.TEXT])]
    weights[0], weights[1] = 0.0, -1.0
    assert not beside()["text"].gate.passed


def test_branches_are_measured_on_the_items_that_have_them_all():
    """Of forty items the first thirty have a picture too: what their text says of the other ten counts
    nothing, and the better of the two is the rival."""
    rng = np.random.default_rng(0)
    truth = rng.random((40, 3)) < 0.4
    clear, vague = truth + rng.random((40, 3)) * 0.8, truth + rng.random((40, 3)) * 3.0

    def part(rows: np.ndarray, confidences: np.ndarray) -> Slice:
        return Slice(rows, Predictions(confidences[rows], decide(confidences[rows], np.full(3, 0.9))))

    few, every = np.arange(30), np.arange(40)
    upset = clear.copy()
    upset[30:] = 1.0 - clear[30:]
    parts = {"text": part(every, upset), "image": part(few, vague), "text+image": part(few, clear)}
    found = beside_branches(parts, truth, [str(row) for row in range(40)], 0)["text+image"]
    assert found.best == Modality.TEXT
    assert found.gate.items == 30
    assert found.gate.other == found.gate.head
    assert found.gate.lead == (0.0, 0.0)
    assert found.gate.passed
    assert found.alone[Modality.IMAGE] < found.gate.other
