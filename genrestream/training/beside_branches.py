"""The fused head beside its own branches: on no slice may it rank worse than the best of them.

Each slice of several modalities is measured with all of them and with each alone, on the same items.
Legend: l labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas.items import Modality
from genrestream.schemas.releases import Gate
from genrestream.training.evaluate import Slice
from genrestream.training.gates import not_worse_gate
from genrestream.training.head_rows import READ
from genrestream.training.metrics import Figures, Predictions, measure_decided


@dataclass(frozen=True, slots=True)
class BesideBranches:
    """One slice."""

    branches: Mapping[Modality, Figures]
    """Of each modality alone."""
    best: Modality
    """The one whose mean average precision is highest alone."""
    gate: Gate
    """All together against the best."""

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        return {
            "branches": {modality: found.as_dict() for modality, found in self.branches.items()},
            "best": self.best,
            "gate": self.gate.model_dump(mode="json"),
        }


def beside_branches(
    parts: Mapping[str, Slice], targets: NDArray[np.bool_], groups: Sequence[str], seed: int
) -> dict[str, BesideBranches]:
    """The slices of several modalities, by name; their rows are those of `targets` [all, l] and `groups`.

    `parts` are those of `predict_slices`: whatever has several modalities is in the slice of each of them.
    """
    return {name: _beside(name, parts, targets, groups, seed) for name in parts if "+" in name}


def _beside(
    name: str,
    parts: Mapping[str, Slice],
    targets: NDArray[np.bool_],
    groups: Sequence[str],
    seed: int,
) -> BesideBranches:
    part = parts[name]
    truth, groups_there = targets[part.rows], [groups[row] for row in part.rows]
    # A read text is never alone: without the picture there is none.
    hidden = (READ, Modality.TEXT) if READ in name else ()
    modalities = [Modality(branch) for branch in name.split("+") if branch not in hidden]
    alone = {modality: _of_rows(parts[modality], part.rows) for modality in modalities}
    branches = {modality: measure_decided(truth, said) for modality, said in alone.items()}
    best = max(branches, key=lambda modality: branches[modality].mean_ap)
    rival = f"{best} alone on {name}"
    gate = not_worse_gate(rival, truth, part.predictions, alone[best], groups_there, seed)
    return BesideBranches(branches, best, gate)


def _of_rows(part: Slice, rows: NDArray[np.int64]) -> Predictions:
    """What the slice says of some of its rows, which are in its order."""
    those = np.isin(part.rows, rows)
    return Predictions(part.predictions.confidences[those], part.predictions.decided[those])
