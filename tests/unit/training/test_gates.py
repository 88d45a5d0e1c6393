"""A head has to beat its rivals on whole groups of items, and not by chance."""

import numpy as np
import pytest

from genrestream.schemas.releases import GateFigure, Wanted
from genrestream.training.bootstrap import drawn_average_precision, group_draws
from genrestream.training.gates import gates, not_worse_gate
from genrestream.training.metrics import Predictions, average_precision, decide

RNG = np.random.default_rng(0)
ITEMS = 240
TRUTH = RNG.random((ITEMS, 4)) < 0.3
GROUPS = [str(row // 2) for row in range(ITEMS)]
BOTH = (GateFigure.MEAN_AP, GateFigure.MICRO_F1)


def predictions(signal: float, seed: int) -> Predictions:
    """Confidences that know the truth more or less."""
    noise = np.random.default_rng(seed).random(TRUTH.shape)
    confidences = np.clip(signal * TRUTH + (1 - signal) * noise, 0, 1)
    return Predictions(confidences, decide(confidences, np.full(4, 0.5)))


def test_a_better_head_passes_and_a_worse_one_does_not():
    """With both figures; each gate holds both values, the interval of the lead and the number of items."""
    good, poor = predictions(0.5, 1), predictions(0.2, 2)
    passed = gates("poor", TRUTH, good, poor, GROUPS, BOTH, seed=0)
    failed = gates("good", TRUTH, poor, good, GROUPS, BOTH, seed=0)
    assert [gate.passed for gate in passed] == [True, True]
    assert [gate.passed for gate in failed] == [False, False]
    for one, other in zip(passed, failed, strict=True):
        assert (one.head, one.other, one.items) == (other.other, other.head, ITEMS)
        assert one.wins == pytest.approx(1 - other.wins)
        assert one.lead[0] < one.head - one.other < one.lead[1]
        assert one.lead == pytest.approx([-other.lead[1], -other.lead[0]])


def test_a_head_that_is_the_same_beats_nothing():
    """Equal figures are no win."""
    same = predictions(0.4, 1)
    assert [gate.wins for gate in gates("itself", TRUTH, same, same, GROUPS, BOTH, seed=0)] == [0.0, 0.0]


def test_a_head_is_worse_only_beyond_doubt():
    """Than what knows more it is; than itself it is not, nor than what is better on one group alone: of the
    draws one in three (1/e) lacks that group, and so the interval of the lead ends at 0."""
    good, poor = predictions(0.3, 1), predictions(0.1, 2)
    better = good.confidences.copy()
    better[:12] = TRUTH[:12]
    one_group = ["one"] * 12 + [str(row) for row in range(12, ITEMS)]
    compared = [
        (poor, good, GROUPS),
        (good, good, GROUPS),
        (good, Predictions(better, good.decided), one_group),
        (good, poor, GROUPS),
    ]
    found = [not_worse_gate("text alone", TRUTH, *each, seed=0) for each in compared]
    assert [gate.passed for gate in found] == [False, True, True, True]
    assert found[0].lead[1] < 0
    assert found[1].lead == (0.0, 0.0)
    assert found[2].lead[0] < 0
    assert found[2].lead[1] == 0
    assert {gate.wanted for gate in found} == {Wanted.NOT_WORSE}


def test_groups_are_drawn_whole():
    """A lead that rests on one group of a dozen items is chance: drawn item by item it would pass."""
    base = predictions(0.3, 1)
    better = base.confidences.copy()
    better[:12] = TRUTH[:12]
    head = Predictions(better, decide(better, np.full(4, 0.5)))
    alone = ["one"] * 12 + [str(row) for row in range(12, ITEMS)]
    (by_group,) = gates("base", TRUTH, head, base, alone, BOTH[:1], seed=0)
    (by_item,) = gates("base", TRUTH, head, base, [str(row) for row in range(ITEMS)], BOTH[:1], seed=0)
    assert by_item.passed
    assert not by_group.passed


def test_a_draw_is_measured_as_if_its_items_were_written_out():
    """Average precision of weighted items is that of the items repeated, ties included; none: NaN."""
    draws = group_draws(GROUPS, seed=3)[:5]
    confidences = np.round(predictions(0.3, 4).confidences[:, 0], 1)
    truth = TRUTH[:, 0]
    found = drawn_average_precision(truth, confidences, draws)
    for draw, score in zip(draws, found, strict=True):
        times = draw.astype(int)
        assert times.sum() == pytest.approx(ITEMS, abs=ITEMS * 0.2)
        assert score == pytest.approx(
            average_precision(np.repeat(truth, times), np.repeat(confidences, times))
        )
    assert np.isnan(drawn_average_precision(np.zeros(ITEMS, bool), confidences, draws)).all()
