"""From confidences to labels."""

import numpy as np
import pytest

from genrestream.schemas import Decision
from genrestream.workers.decide import decide
from tests.unit.workers.doubles import release


def test_labels_that_reach_their_threshold_in_falling_confidence() -> None:
    """Claim: of .6, .9, .4 against thresholds of .5, b and a are given, b first."""
    verdict = decide(np.float32([0.6, 0.9, 0.4]), release())
    assert [(label.label, label.confidence) for label in verdict.labels] == [("b", 0.9), ("a", 0.6)]
    assert verdict.decision is Decision.LABELLED
    assert verdict.scores is None


def test_without_any_label_above_its_threshold_the_best_one_is_given_honestly() -> None:
    """Claim: of .1, .2, .3 c is given with .3, as low confidence; labels are never empty."""
    verdict = decide(np.float32([0.1, 0.2, 0.3]), release())
    assert [(label.label, label.confidence) for label in verdict.labels] == [("c", 0.3)]
    assert verdict.decision is Decision.LOW_CONFIDENCE


def test_the_threshold_itself_is_enough() -> None:
    """Claim: exactly .5 against a threshold of .5 is labelled."""
    assert decide(np.float32([0.5, 0.0, 0.0]), release()).decision is Decision.LABELLED


def test_all_scores_name_every_label_in_falling_order() -> None:
    """Claim: on request every label has its confidence."""
    verdict = decide(np.float32([0.1, 0.2, 0.3]), release(), all_scores=True)
    assert verdict.scores == {"c": 0.3, "b": 0.2, "a": 0.1}
    assert list(verdict.scores) == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("confidences", "message"),
    [([0.1, 0.2], r"shape \(2,\), expected \(3,\)"), ([0.1, np.nan, 0.2], "not a finite number")],
)
def test_a_head_that_contradicts_its_release_is_an_error(confidences: list[float], message: str) -> None:
    """Claim: a wrong number of confidences and a NaN are refused, never published."""
    with pytest.raises(ValueError, match=message):
        decide(np.float32(confidences), release())
