"""Figures: by hand on small cases, and against torchmetrics on random ones."""

import numpy as np
import pytest

from genrestream.training.metrics import (
    Predictions,
    average_precision,
    calibration_error,
    decide,
    label_average_precision,
    label_f1,
    measure,
    measure_decided,
    micro_f1,
    reliability,
    top_k_hits,
)

TRUTH = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 0]], np.bool_)
CONFIDENCES = np.array([[0.9, 0.2, 0.1], [0.6, 0.3, 0.7], [0.4, 0.1, 0.3], [0.2, 0.1, 0.6]])


def test_the_best_label_is_given_when_none_reaches_its_threshold():
    """Row 3 has nothing over 0.5, so its best label is given alone."""
    decided = decide(CONFIDENCES, np.full(3, 0.5))
    assert decided.astype(int).tolist() == [[1, 0, 0], [1, 0, 1], [1, 0, 0], [0, 0, 1]]


def test_figures_by_hand():
    """Given: 5 labels, 3 right of the 5 that are true, so micro F1 is 6/10. Label 0: given 3, right 2 of 2,
    F1 4/5; label 1: never given, 0; label 2: given 2, right 1 of 1, F1 2/3. The best label is right on the
    three items that have one. Item by item the first three score 1, 1/2 and 2/3. Of 12 decisions 4 are
    wrong."""
    figures = measure(TRUTH, CONFIDENCES, np.full(3, 0.5))
    assert figures.micro_f1 == pytest.approx(0.6)
    assert figures.macro_f1 == pytest.approx((4 / 5 + 0 + 2 / 3) / 3)
    assert (figures.top1, figures.top5, figures.at_least_one) == (1.0, 1.0, 1.0)
    assert figures.top3 == 1.0
    assert figures.labels_given == 5 / 4
    assert figures.sample_f1 == pytest.approx((1 + 1 / 2 + 2 / 3) / 3)
    assert figures.hamming_loss == pytest.approx(4 / 12)


def test_average_precision_by_hand():
    """True items stand at ranks 1 and 3: (1/1 + 2/3) / 2. Equal confidences are one step: both true items
    come with the whole run of four, precision 1/2. Without a true item there is none."""
    truth = np.array([1, 0, 1, 0], np.bool_)
    assert average_precision(truth, np.array([0.9, 0.8, 0.7, 0.1])) == pytest.approx(5 / 6)
    assert average_precision(truth, np.full(4, 0.5)) == pytest.approx(0.5)
    assert np.isnan(average_precision(np.zeros(4, np.bool_), np.arange(4.0)))


def test_average_precision_of_each_label_by_hand():
    """Label 0 is true at ranks 1 and 3 of 4: 5/6. Label 1 at rank 1 and, at the end of a run of two, 4:
    (1 + 2/4) / 2. Label 2 at rank 1."""
    found = label_average_precision(TRUTH, CONFIDENCES)
    assert found == pytest.approx([5 / 6, 3 / 4, 1.0])
    assert measure(TRUTH, CONFIDENCES, np.full(3, 0.5)).mean_ap == pytest.approx((5 / 6 + 3 / 4 + 1) / 3)


def test_calibration_error_by_hand():
    """Ten items with confidence 0.8 of which 5 are right err by 0.3; ten with 0.2 of which 2 are, by 0."""
    confidences = np.array([0.8] * 10 + [0.2] * 10)
    right = np.array([True] * 5 + [False] * 5 + [True] * 2 + [False] * 8)
    found = reliability(confidences, right)
    assert found.ece == pytest.approx(0.15)
    assert found.counts.tolist() == [0, 0, 0, 10, *[0] * 8, 10, 0, 0]
    assert found.claimed[[3, 12]] == pytest.approx([2, 8])
    assert found.right[[3, 12]].tolist() == [2, 5]
    assert calibration_error(np.array([1.0]), np.array([True])) == 0.0
    assert calibration_error(np.zeros(0), np.zeros(0, bool)) == 0.0


@pytest.mark.parametrize("items", [200, 20_000])
def test_perfect_confidences_show_an_error_by_chance(items):
    """As much as drawing lots by them does, many times over; it shrinks with the items."""
    rng = np.random.default_rng(3)
    confidences = rng.uniform(size=items)
    drawn = [calibration_error(confidences, rng.uniform(size=items) < confidences) for _ in range(200)]
    expected = reliability(confidences, np.zeros(items, bool)).ece_by_chance
    assert expected == pytest.approx(np.mean(drawn), rel=0.05)
    assert expected == pytest.approx(np.sqrt(2 / np.pi * 15 / 6 / items), rel=0.05)


def test_nothing_given_scores_nothing():
    """The all-zeros baseline has no hit among its best labels: it claims none."""
    figures = measure_decided(TRUTH, Predictions(np.zeros((4, 3)), np.zeros((4, 3), np.bool_)))
    assert (figures.top1, figures.top5, figures.micro_f1, figures.at_least_one) == (0, 0, 0, 0)


@pytest.mark.training
def test_torchmetrics_agrees():
    """On 300 random items of 7 labels: average precision, F1s, calibration error and top-k."""
    torch = pytest.importorskip("torch")
    from torchmetrics.functional.classification import (
        binary_calibration_error,
        multilabel_average_precision,
        multilabel_f1_score,
    )

    rng = np.random.default_rng(0)
    truth = rng.random((300, 7)) < 0.3
    # Rounded, so that there are ties.
    confidences = np.round(np.clip(truth * 0.3 + rng.random((300, 7)) * 0.6 + 0.01, 0, 1), 2)
    mine = measure(truth, confidences, np.full(7, 0.4))
    scores, wanted = torch.from_numpy(confidences), torch.from_numpy(truth.astype(int))
    ap = multilabel_average_precision(scores, wanted, 7, average="macro")
    assert mine.mean_ap == pytest.approx(float(ap), abs=1e-6)
    decided = decide(confidences, np.full(7, 0.4))
    chosen = torch.from_numpy(decided.astype(float))
    for average, value in (("micro", micro_f1(truth, decided)), ("macro", label_f1(truth, decided).mean())):
        assert value == pytest.approx(
            float(multilabel_f1_score(chosen, wanted, 7, average=average)), abs=1e-6
        )
    # Off the edges of the bins, where the two put a confidence on different sides.
    odd = torch.from_numpy(confidences + 0.001)
    ece = binary_calibration_error(odd.ravel(), wanted.ravel(), n_bins=15)
    assert calibration_error(odd.numpy().ravel(), truth.ravel()) == pytest.approx(float(ece), abs=1e-6)
    best = torch.topk(torch.from_numpy(confidences - np.arange(7) * 1e-9), 3).indices
    hits = wanted.gather(1, best).any(dim=1).numpy()
    assert top_k_hits(truth, confidences, 3).tolist() == hits.tolist()
