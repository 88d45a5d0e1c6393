"""The fused head beside what it is made of: on no slice may it rank worse than the best of that.

Each slice is measured with all that it has, with each modality alone, and with each branch alone, on the same
items. Legend: n items, l labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas.items import Modality
from genrestream.schemas.releases import Gate
from genrestream.training.evaluate import Slice
from genrestream.training.fit_head import FittedHead
from genrestream.training.gates import not_worse_gate
from genrestream.training.head_rows import READ
from genrestream.training.heads import TERMS, modality_of
from genrestream.training.metrics import Confidences, Predictions, Truth, mean_average_precision

BranchesAlone = Mapping[str, Mapping[str, Confidences]]
"""By slice and branch: what ranks the labels [n, l] of the slice's items."""


@dataclass(frozen=True, slots=True)
class BesideBranches:
    """One slice."""

    alone: Mapping[str, float]
    """The mean average precision of each modality alone, such as `audio`, and of each branch of one that has
    several, such as `audio: rhythm`."""
    best: str
    """The one whose is highest."""
    gate: Gate
    """All together against the best."""

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        return {"alone": dict(self.alone), "best": self.best, "gate": self.gate.model_dump(mode="json")}


def branches_alone(fitted: FittedHead, parts: Mapping[str, Slice]) -> BranchesAlone:
    """Each branch by itself on the slices that hear it; none where a modality has one branch only."""
    names = fitted.head.branches.names
    several = {name for name in names if sum(modality_of(name) is modality_of(each) for each in names) > 1}
    found: dict[str, dict[str, Confidences]] = {}
    for part_name, part in parts.items():
        subset = part_name.split("+")
        logits = fitted.logits if READ not in subset or fitted.read_logits is None else fitted.read_logits
        found[part_name] = {
            _title(name): logits[part.rows, place]
            for place, name in enumerate(names)
            if name in several and modality_of(name) in subset
        }
    return found


def beside_branches(
    parts: Mapping[str, Slice],
    targets: NDArray[np.bool_],
    groups: Sequence[str],
    seed: int,
    branches: BranchesAlone | None = None,
) -> dict[str, BesideBranches]:
    """The slices that several modalities or branches speak of, by name; their rows are those of `targets`
    [all, l] and `groups`.

    `parts` are those of `predict_slices`: whatever has several modalities is in the slice of each of them.
    Without `branches` modalities alone are measured.
    """
    found = {}
    for name, part in parts.items():
        # Branches have log-odds: those above even count as given, though a ranking asks for none.
        rivals = {
            **_modalities_alone(name, parts),
            **{
                branch: Predictions(said, said > 0) for branch, said in (branches or {}).get(name, {}).items()
            },
        }
        if rivals:
            its_groups = [groups[row] for row in part.rows]
            found[name] = _beside(name, part.predictions, rivals, targets[part.rows], its_groups, seed)
    return found


def _modalities_alone(name: str, parts: Mapping[str, Slice]) -> dict[str, Predictions]:
    """Of the slice's items; none where it has one modality, which then is all of it."""
    if "+" not in name:
        return {}
    # A read text is never alone: without the picture there is none.
    hidden = (READ, Modality.TEXT) if READ in name else ()
    modalities = [modality for modality in name.split("+") if modality not in hidden]
    return {modality: _of_rows(parts[modality], parts[name].rows) for modality in modalities}


def _beside(
    name: str,
    together: Predictions,
    rivals: Mapping[str, Predictions],
    truth: Truth,
    groups: Sequence[str],
    seed: int,
) -> BesideBranches:
    alone = {rival: mean_average_precision(truth, said.confidences) for rival, said in rivals.items()}
    best = max(alone, key=lambda rival: alone[rival])
    gate = not_worse_gate(f"{best} alone on {name}", truth, together, rivals[best], groups, seed)
    return BesideBranches(alone, best, gate)


def _of_rows(part: Slice, rows: NDArray[np.int64]) -> Predictions:
    """What the slice says of some of its rows, which are in its order."""
    those = np.isin(part.rows, rows)
    return Predictions(part.predictions.confidences[those], part.predictions.decided[those])


def _title(branch: str) -> str:
    """For people: `text: words`, `text: embedding`, `audio: rhythm`."""
    view = "words" if branch == TERMS else branch.partition(":")[2] or "embedding"
    return f"{modality_of(branch)}: {view}"
