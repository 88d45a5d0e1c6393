"""Calibration of the fused logits on a fold of its own, for every subset of modalities, into the gate.

Platt scaling (Platt 1999): one slope a subset and a shift a label, held near no change, so that a small
fold corrects what it can show and no more. Legend: n items, k branches, l labels, m modalities.
"""

import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genrestream.training.fuse import Read, masked_to, minimise, rows_with
from genrestream.training.head_rows import READ
from genrestream.training.heads import Gate, subset_number

SLOPE_STRENGTH = 5.0
"""How hard the slope is held to 1; about the weight of so many items."""
SHIFT_STRENGTH = 4.0
"""How hard each label's shift is held to the common one."""
MIN_ITEMS = 20
"""With fewer items that have a subset, it is left as the gate learnt it."""
MIN_SLOPE = 0.2
MAX_SLOPE = 3.0


def calibrate(
    gate: Gate,
    logits: NDArray[np.float32],
    presence: NDArray[np.float32],
    targets: NDArray[np.bool_],
    read: Read | None = None,
) -> Gate:
    """A gate like `gate` with calibrated confidences.

    From the calibration fold's branch logits [n, k, l], presence [n, m] and targets [n, l].
    """
    calibrated = copy.deepcopy(gate)
    for subset in gate.subsets:
        its_logits, its_presence = read if read is not None and READ in subset else (logits, presence)
        rows = rows_with(its_presence, subset)
        if len(rows) < MIN_ITEMS:
            continue
        mask = torch.from_numpy(masked_to(its_presence[rows], subset))
        with torch.no_grad():
            competed = gate.competed(torch.from_numpy(its_logits[rows]), mask)
        number = subset_number(subset)
        calibrated.slope[number], calibrated.shift[number] = _platt(
            competed, torch.from_numpy(targets[rows]).float()
        )
    return calibrated


def _platt(competed: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The slope (a number) and the shift float32 [l]."""
    slope = torch.ones((), requires_grad=True)
    common = torch.zeros((), requires_grad=True)
    own = torch.zeros(competed.shape[1], requires_grad=True)

    def loss() -> Tensor:
        logits = competed * slope + common + own
        errors = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
        held = SLOPE_STRENGTH * (slope - 1.0).square() + SHIFT_STRENGTH * own.square().sum()
        return (errors + held) / len(competed)

    minimise(loss, [slope, common, own])
    return slope.detach().clamp(MIN_SLOPE, MAX_SLOPE), (common + own).detach()
