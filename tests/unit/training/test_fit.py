"""The training loop of the branches."""

import numpy as np
import pytest

from genrestream.schemas import Modality
from genrestream.training.errors import TrainingError
from genrestream.training.head_rows import HeadRows
from tests.unit.training.heads import make_rows

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.fit import CrossFit, cross_fit, fit_branches  # noqa: E402
from genrestream.training.fit_loop import FitSettings, begin, branch_logits, fit_for  # noqa: E402
from genrestream.training.metrics import mean_average_precision  # noqa: E402
from genrestream.training.split import assign_groups  # noqa: E402

SETTINGS = FitSettings(epochs=8, seed=3)
EPOCHS = {"terms": 8, "text": 8, "image": 8}


def parts_of(targets: np.ndarray, count: int = 4) -> np.ndarray:
    return assign_groups(targets, [str(row) for row in range(len(targets))], [1.0] * count, 0)


def test_every_branch_learns():
    """On items it never saw each branch ranks far better than chance (the labels' share is 0.26), and after
    a third of the items not as well."""
    rows, targets = make_rows(1200)
    fresh = np.flatnonzero(rows.has(Modality.IMAGE) & (np.arange(1200) >= 600))
    scores = []
    for items in (200, 600):
        branches = fit_branches(rows, targets, np.arange(items), EPOCHS, SETTINGS)
        assert branches.names == ("terms", "text", "image")
        logits = branch_logits(branches, rows, fresh, SETTINGS)
        scores.append([mean_average_precision(targets[fresh], logits[:, branch]) for branch in range(3)])
    assert min(scores[1]) > 0.6
    assert all(few < many for few, many in zip(*scores, strict=True))


def test_held_out_logits_come_from_branches_that_never_saw_the_item():
    """With labels that nothing explains, a branch that had seen an item would recall its label; the held-out
    logits do not rank better than chance, those of branches on their own items do."""
    rows, _ = make_rows(200, modalities=[Modality.IMAGE])
    rng = np.random.default_rng(9)
    wide = rng.normal(size=(200, 150)).astype(np.float32)
    rows = HeadRows({Modality.IMAGE: wide}, None, rows.presence)
    targets = rng.random((200, 2)) < 0.5
    everything = np.arange(200)
    settings = FitSettings(epochs=30, patience_epochs=30)
    crossed = cross_fit(rows, targets, everything, parts_of(targets), settings)
    recalled = branch_logits(
        fit_branches(rows, targets, everything, {"image": 30}, settings), rows, everything, settings
    )
    assert mean_average_precision(targets, crossed.held_out_logits[:, 0]) < 0.6
    assert mean_average_precision(targets, recalled[:, 0]) > 0.7


def test_branches_are_trained_for_as_long_as_their_cross_fit_took():
    """Each for its own number of epochs, as if the training had ended there."""
    rows, targets = make_rows(300)
    crossed = CrossFit(
        ("terms", "text"),
        np.zeros(0),
        [{"terms": [3, 1, 2], "text": [1, 2]}, {"terms": [4, 3, 2, 1], "text": [1, 2]}],
    )
    assert crossed.best_epochs == {"terms": 3, "text": 1}
    long = fit_branches(rows, targets, np.arange(300), {"terms": 8, "text": 2, "image": 5}, SETTINGS)
    short = fit_branches(rows, targets, np.arange(300), {"terms": 2, "text": 2, "image": 2}, SETTINGS)
    assert torch.equal(long.by_name["text"].weight, short.by_name["text"].weight)
    assert not torch.equal(long.by_name["image"].weight, short.by_name["image"].weight)


def test_the_same_seed_gives_the_same_branches():
    """Bit for bit, although the parts are fitted side by side."""
    rows, targets = make_rows(300)
    everything, parts = np.arange(300), parts_of(targets)
    one, two = (cross_fit(rows, targets, everything, parts, SETTINGS) for _ in range(2))
    assert np.array_equal(one.held_out_logits, two.held_out_logits)
    first, again = (fit_branches(rows, targets, everything, EPOCHS, SETTINGS) for _ in range(2))
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_the_served_branches_are_the_mean_of_several():
    """Their logits are the mean of those that each order of the items gives."""
    rows, targets = make_rows(300)
    everything = np.arange(300)
    several = FitSettings(epochs=8, seed=3, averaged=3)
    served = branch_logits(
        fit_branches(rows, targets, everything, EPOCHS, several), rows, everything, several
    )
    each = []
    for number in range(3):
        lesson, branches = begin(rows, targets, everything, several)
        order = np.random.default_rng([several.seed, number])
        fit_for(branches, lesson, everything, EPOCHS, order, lambda epoch: None)
        each.append(branch_logits(branches, rows, everything, several))
    assert np.abs(each[0] - each[1]).max() > 1e-2
    assert served == pytest.approx(np.mean(each, axis=0), abs=1e-4)


def test_progress_counts_all_that_is_averaged():
    """Epochs done, of those at most, over all of them; the whole at the end."""
    rows, targets = make_rows(100)
    heard: list[tuple[int, int]] = []
    several = FitSettings(epochs=8, averaged=3)
    fit_branches(
        rows, targets, np.arange(100), EPOCHS, several, lambda done, total: heard.append((done, total))
    )
    assert {total for _, total in heard} == {24}
    assert heard[-1] == (24, 24)


def test_an_absent_modality_teaches_its_branch_nothing():
    """Items without a picture have zeros for its embedding; whatever they hold instead changes nothing."""
    rows, targets = make_rows(300)
    absent = ~rows.has(Modality.IMAGE)
    changed = rows.embeddings[Modality.IMAGE].copy()
    changed[absent] = 100.0
    other = HeadRows({**rows.embeddings, Modality.IMAGE: changed}, rows.terms, rows.presence)
    one, two = (fit_branches(each, targets, np.arange(300), EPOCHS, SETTINGS) for each in (rows, other))
    assert torch.equal(one.by_name["image"].weight, two.by_name["image"].weight)


def test_a_loss_that_is_no_number_ends_the_training():
    """One line that says where to look."""
    rows, targets = make_rows(100, absent=0.0)
    rows.embeddings[Modality.IMAGE][5] = np.nan
    with pytest.raises(TrainingError, match=r"the loss is nan in epoch 1: check the embeddings"):
        cross_fit(rows, targets, np.arange(100), parts_of(targets), SETTINGS)


def test_training_stops_early_and_keeps_the_best_epoch():
    """The curves end when nothing improved for the patience, before the epochs are used up."""
    rows, targets = make_rows(300)
    settings = FitSettings(epochs=200, patience_epochs=2)
    crossed = cross_fit(rows, targets, np.arange(300), parts_of(targets), settings)
    for curves in crossed.curves:
        assert max(len(curve) for curve in curves.values()) < 200
        assert all(len(curve) - 1 - int(np.argmin(curve)) >= 2 for curve in curves.values())


@pytest.mark.parametrize(("items", "epochs"), [(180, 3), (40, 1), (40, 2)])
def test_few_steps_are_enough(items, epochs):
    """Also where the rate's rise has one step or none: the weights move and stay numbers."""
    rows, targets = make_rows(items)
    some = dict.fromkeys(EPOCHS, epochs)
    branches = fit_branches(rows, targets, np.arange(items), some, FitSettings(epochs=epochs))
    weight = branches.by_name["text"].weight
    assert torch.isfinite(weight).all()
    assert weight.abs().max() > 0
