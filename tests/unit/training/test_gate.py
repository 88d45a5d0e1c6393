"""Fusion and calibration for every subset of modalities."""

import numpy as np
import pytest

from genrestream.schemas import Modality
from genrestream.training.metrics import calibration_error, mean_average_precision

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.calibrate import calibrate  # noqa: E402
from genrestream.training.fuse import fit_gate, masked_to  # noqa: E402
from genrestream.training.heads import Gate, compete, subset_number, subsets_of  # noqa: E402

ALL = np.ones((4000, 3), np.float32)
NAMES = ("terms", "text", "image", "audio")


def noisy_logits(items: int, noise: list[float], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Branch logits [n, k, 3] that see the truth [n, 3] through noise of the given strengths."""
    rng = np.random.default_rng(seed)
    truth = rng.random((items, 3)) < 0.3
    clear = np.where(truth, 2.0, -2.0)[:, None, :]
    spread = np.array(noise)[None, :, None] * rng.normal(size=(items, len(noise), 3))
    return (clear + spread).astype(np.float32), truth


def confidences(gate: Gate, logits: np.ndarray, presence: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        found: np.ndarray = gate(torch.from_numpy(logits), torch.from_numpy(presence)).numpy()
    return found


def test_no_subset_is_worse_than_its_best_branch():
    """For each of the seven subsets, the fused confidences rank fresh items at least as well as the best
    branch in the subset does by itself."""
    noise = [2.0, 3.0, 4.0, 2.5]
    logits, truth = noisy_logits(4000, noise)
    gate = fit_gate(NAMES, logits, ALL, truth, seed=0)
    fresh, fresh_truth = noisy_logits(4000, noise, seed=1)
    modality_of_branch = [Modality.TEXT, Modality.TEXT, Modality.IMAGE, Modality.AUDIO]
    for subset in subsets_of(list(Modality)):
        fused = confidences(gate, fresh, masked_to(ALL, subset))
        branches = [branch for branch in range(4) if modality_of_branch[branch] in subset]
        best = max(mean_average_precision(fresh_truth, fresh[:, branch]) for branch in branches)
        assert mean_average_precision(fresh_truth, fused) > best - 0.002, subset


def test_a_branch_that_is_not_in_the_subset_has_no_say():
    """Whatever an absent modality's branch says, the confidences are bit for bit the same."""
    logits, truth = noisy_logits(500, [1.0, 1.0, 1.0, 1.0])
    gate = fit_gate(NAMES, logits, ALL[:500], truth, seed=0)
    text_only = masked_to(ALL[:500], [Modality.TEXT])
    other = logits.copy()
    other[:, 2:] = 50.0
    assert np.array_equal(confidences(gate, logits, text_only), confidences(gate, other, text_only))


def test_without_any_modality_the_prior_is_left():
    """The labels' shares, to within the smoothing of half an item."""
    logits, truth = noisy_logits(1000, [1.0, 1.0, 1.0, 1.0])
    gate = fit_gate(NAMES, logits, ALL[:1000], truth, seed=0)
    assert confidences(gate, logits[:1], np.zeros((1, 3), np.float32))[0] == pytest.approx(
        (truth.sum(axis=0) + 0.5) / 1001, abs=1e-6
    )


def test_competition_0_leaves_labels_alone_and_1_is_a_softmax():
    """With competition 1 the log-odds are those of the softmax: log p / (1 - p)."""
    fused = torch.tensor([[2.0, 0.5, -1.0], [0.0, 0.0, 0.0]])
    assert torch.equal(compete(fused, torch.tensor(0.0)), fused)
    share = torch.softmax(fused, dim=1)
    assert compete(fused, torch.tensor(1.0)).numpy() == pytest.approx(
        torch.log(share / (1 - share)).numpy(), abs=1e-5
    )


def test_competition_is_learnt_from_the_set():
    """It is near 1 where each item has one label, near 0 where labels come independently."""
    rng = np.random.default_rng(0)
    single = np.eye(3, dtype=bool)[rng.integers(0, 3, 4000)]
    independent = rng.random((4000, 3)) < 0.3
    learnt = []
    for truth in (single, independent):
        scores = (np.where(truth, 1.0, -1.0) + rng.normal(size=(4000, 3)) * 1.5)[:, None, :]
        gate = fit_gate(("image",), scores.astype(np.float32), ALL, truth, seed=0)
        learnt.append(float(gate.competition[subset_number([Modality.IMAGE])]))
    assert learnt[0] > 0.8
    assert abs(learnt[1]) < 0.2


def test_calibration_mends_wrong_confidences():
    """A gate whose logits are three times too large errs by over 0.1 on fresh items; calibrated, by under
    0.02."""
    logits, truth = noisy_logits(4000, [3.0])
    gate = fit_gate(("image",), logits, ALL, truth, seed=0)
    loud = Gate(1, 3, (Modality.IMAGE,))
    number = subset_number([Modality.IMAGE])
    loud.weights[number], loud.bias[number] = gate.weights[number] * 3, gate.bias[number] * 3
    calibrated = calibrate(loud, logits[:600], ALL[:600], truth[:600])
    fresh, fresh_truth = noisy_logits(4000, [3.0], seed=1)

    def error(of: Gate) -> float:
        return calibration_error(confidences(of, fresh, ALL).ravel(), fresh_truth.ravel())

    assert error(loud) > 0.1
    assert error(calibrated) < 0.02


def test_a_tiny_fold_leaves_the_gate_as_it_learnt():
    """Nineteen items are too few to correct anything."""
    logits, truth = noisy_logits(500, [1.0])
    gate = fit_gate(("image",), logits, ALL[:500], truth, seed=0)
    same = calibrate(gate, logits[:19], ALL[:19], truth[:19])
    assert torch.equal(same.slope, gate.slope)
    assert torch.equal(same.shift, gate.shift)
