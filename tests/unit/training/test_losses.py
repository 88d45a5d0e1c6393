"""The losses, against numbers worked out by hand, and that one has to win to be used."""

import math

import numpy as np
import pytest

from genrestream.training.split import assign_groups, split_by_group
from tests.unit.training.heads import make_rows

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training import gates, losses  # noqa: E402
from genrestream.training.baselines import terms_alone  # noqa: E402
from genrestream.training.fit_head import fit_head  # noqa: E402
from genrestream.training.fit_loop import FitSettings  # noqa: E402
from genrestream.training.loss_trial import try_loss  # noqa: E402
from genrestream.training.losses import Loss, LossName, make_loss  # noqa: E402
from genrestream.training.metrics import mean_average_precision  # noqa: E402

TARGETS = np.array([[1, 0], [1, 1], [1, 0], [0, 0]], np.bool_)
"""Label 0 has three items of four, label 1 has one."""


def loss_of(loss: Loss, logits: list[float], wanted: list[float]) -> list[float]:
    found = loss(torch.tensor([[logits]]), torch.tensor([[wanted]]))
    values: list[float] = found[0, 0].tolist()
    return values


def test_cross_entropy():
    """-ln of the probability that is given to what is so: at log-odds 0 half, at ln 3 three quarters."""
    loss = make_loss(LossName.BCE, TARGETS)
    assert loss_of(loss, [0.0, math.log(3)], [1.0, 0.0]) == pytest.approx([math.log(2), math.log(4)])


def test_asymmetric_counts_easy_items_less_and_absent_labels_least():
    """With p = 1/4: present -ln(1/4) x (3/4); absent -ln(.8) x (.2)^4, of the probability shifted by .05; an
    absent label under the margin costs nothing at all."""
    loss = make_loss(LossName.ASYMMETRIC, TARGETS)
    quarter = -math.log(3)
    assert loss_of(loss, [quarter, quarter], [1.0, 0.0]) == pytest.approx(
        [-math.log(0.25) * 0.75, -math.log(0.8) * 0.2**4], rel=1e-5
    )
    assert loss_of(loss, [-4.0, -4.0], [0.0, 0.0]) == [0.0, 0.0]


def test_class_balanced_weighs_by_the_effective_number():
    """(1 - .999) / (1 - .999^n) for 3 items and 1, scaled to a mean of 1: a ratio of 1 to 2.997."""
    loss = make_loss(LossName.CLASS_BALANCED, TARGETS)
    frequent, rare = loss_of(loss, [0.0, 0.0], [1.0, 1.0])
    assert rare / frequent == pytest.approx((1 - 0.999**3) / (1 - 0.999), rel=1e-4)
    assert frequent + rare == pytest.approx(2 * math.log(2))


def test_distribution_balanced_weighs_by_how_an_item_was_drawn():
    """An item with both labels was drawn for 1/3 + 1: its frequent label has the ratio (1/3) / (4/3) = 1/4,
    so the weight .1 + sigmoid(10 x (1/4 - .2)); logits are shifted by .05 x ln(1/share - 1)."""
    loss = make_loss(LossName.DISTRIBUTION_BALANCED, TARGETS)
    found = loss_of(loss, [0.0, 0.0], [1.0, 1.0])
    weight = 0.1 + 1 / (1 + math.exp(-10 * (0.25 - 0.2)))
    shift = 0.05 * math.log(1 / 0.75 - 1)
    assert found[0] == pytest.approx(weight * math.log(1 + math.exp(shift)), rel=1e-5)


def test_distribution_balanced_is_tolerant_towards_absent_labels():
    """Far above the shift the slope of an absent label is 1 as ever, below it falls off twice as fast."""
    loss = make_loss(LossName.DISTRIBUTION_BALANCED, TARGETS)
    logits = torch.tensor([[[-3.0, -3.0]]], requires_grad=True)
    plain = torch.tensor([[[-3.0, -3.0]]], requires_grad=True)
    nothing = torch.zeros(1, 1, 2)
    loss(logits, nothing).sum().backward()
    make_loss(LossName.BCE, TARGETS)(plain, nothing).sum().backward()
    assert logits.grad is not None
    assert plain.grad is not None
    assert (logits.grad / plain.grad < 0.2).all()


@pytest.mark.parametrize("name", LossName)
def test_every_loss_learns_from_items_without_labels_too(name):
    """Finite and with finite slopes for extreme logits and items that have no label."""
    loss = make_loss(name, np.zeros((5, 2), np.bool_))
    logits = torch.tensor([[[-80.0, 80.0]], [[80.0, -80.0]]], requires_grad=True)
    loss(logits, torch.zeros(2, 1, 2)).sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_a_loss_that_does_not_win_is_not_used():
    """On labels that terms and embeddings tell evenly, balancing gains nothing: binary cross-entropy stays,
    and the gate says by what."""
    rows, targets = make_rows(400)
    groups = [str(row) for row in range(400)]
    learnt = np.arange(400)
    parts = assign_groups(targets, groups, [1.0] * 3, 0)
    settings = FitSettings(epochs=4, loss=LossName.ASYMMETRIC)
    trial = try_loss(rows, targets, learnt, parts, learnt[:300], groups, settings)
    assert trial.gate is not None
    assert not trial.gate.passed
    assert trial.gate.items == 100
    assert trial.loss is LossName.BCE


def test_a_loss_that_wins_is_used(monkeypatch):
    """Where cross-entropy is kept from learning anything, the other one is taken, with its branches."""
    monkeypatch.setattr(losses, "_cross_entropy", lambda logits, wanted: 0.0 * logits * wanted)
    rows, targets = make_rows(400)
    learnt = np.arange(400)
    groups = [str(row) for row in range(400)]
    parts = assign_groups(targets, groups, [1.0] * 3, 0)
    settings = FitSettings(epochs=4, loss=LossName.ASYMMETRIC)
    trial = try_loss(rows, targets, learnt, parts, learnt[:300], groups, settings)
    assert trial.gate is not None
    assert trial.gate.passed
    assert trial.loss is LossName.ASYMMETRIC
    assert mean_average_precision(targets, trial.crossed.held_out_logits[:, 0]) > 0.4


def test_words_alone_are_the_same_rival_whatever_loss_wins(monkeypatch):
    """With another loss, here one that wins by any figure, the head's own terms say something else; the
    linear TF-IDF model that it is measured against is the one that binary cross-entropy trains."""
    monkeypatch.setattr(gates, "LEVEL", 0.0)
    rows, targets = make_rows(300)
    groups = [str(row) for row in range(300)]
    split = split_by_group(targets, groups, 0)
    plain, other = (
        fit_head(rows, targets, split, groups, FitSettings(epochs=4, loss=loss))
        for loss in (LossName.BCE, LossName.ASYMMETRIC)
    )
    assert (plain.trial.loss, other.trial.loss) == (LossName.BCE, LossName.ASYMMETRIC)
    place = other.head.branches.names.index("terms")
    assert np.abs(other.logits[:, [place]] - plain.terms_logits).max() > 0.1
    # A weight may be rounded to the next float16.
    assert np.abs(other.terms_logits - plain.terms_logits).max() < 0.01
    rivals = [terms_alone(fitted, rows.presence, targets, split, 0) for fitted in (plain, other)]
    assert np.abs(rivals[0].confidences - rivals[1].confidences).max() < 0.01
