"""The lines of the table: what each system, and each part of it, says of the same test items.

Legend: n items, l labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from genrestream.repository import GOLDEN, GRAPH
from genrestream.repository.golden import read_golden
from genrestream.schemas.items import Modality
from genrestream.schemas.releases import Gate, GateFigure
from genrestream.schemas.tensors import CONFIDENCES
from genrestream.training.errors import TrainingError
from genrestream.training.evaluate import Slice
from genrestream.training.gates import gates
from genrestream.training.metrics import Figures, Predictions, measure_decided
from genrestream.training.recipes.train import TrainedRecipe
from genrestream.training.report.costs import encoder_cost, graph_cost
from genrestream.training.report.findings import ModelCost
from genrestream.training.split import Fold
from genrestream.training.targets import OTHERS
from genrestream.training.train import Trained

OURS = "ours"
AS_THEY_ARE = "what each item has"
"""What a head hears when no modality is hidden from it."""


class Entry(BaseModel):
    """One line: a system, hearing some modalities, on the test items that have all that the contest needs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str
    """`OURS`, a recipe's name or a baseline's."""
    hears: str
    """Modalities, such as `text+image`."""
    figures: Figures | None = None
    """None where the training failed."""
    size_bytes: int | None = None
    """Of the graphs that are served: encoders and head."""
    training_s: float | None = None
    """From nothing, features and embeddings included; of a recipe with its branches alone as well."""
    inference_ms: float | None = None
    """One item through encoders and head on one thread, features left out."""
    note: str = ""
    """Why there are no figures."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What a trained system's graphs weigh and take."""

    head: ModelCost
    encoders: Mapping[Modality, ModelCost]

    def size_bytes(self, hears: Sequence[Modality]) -> int:
        """Of the head and the encoders of these modalities."""
        return self.head.size_bytes + sum(self.encoders[each].size_bytes for each in self._with(hears))

    def inference_ms(self, hears: Sequence[Modality]) -> float:
        """Of one item, through the same."""
        encoders = sum(self.encoders[each].batch_ms[1] for each in self._with(hears))
        return self.head.batch_ms[1] + encoders

    def _with(self, hears: Sequence[Modality]) -> list[Modality]:
        # A head may take a text's hashed words alone, without an encoder.
        return [modality for modality in hears if modality in self.encoders]


def measure_trained(trained: Trained) -> Costs:
    """The graphs of a candidate and its encoders, one item at a time on one thread.

    Raises:
        RepositoryError: a graph cannot be run.
    """
    directory = trained.candidate.directory
    golden = read_golden(directory / GOLDEN)

    def first(items: int) -> dict[str, NDArray[Any]]:
        return {name: tensor[:items] for name, tensor in golden.inputs.items()}

    head = graph_cost(trained.candidate.release.model, Path(directory / GRAPH), first, CONFIDENCES, (1,))
    encoders = {each.record.modality: encoder_cost(each, (1,)) for each in trained.prepared.encoders}
    return Costs(head, encoders)


def our_entries(ours: Trained, rows: NDArray[np.int64] | None) -> list[Entry]:
    """Our head with each subset of modalities, then with what each item has, and the baselines.

    `rows` int64 [n] are the test items that are measured on; None: all of them.
    """
    evaluation, test = ours.evaluation, ours.prepared.split[Fold.TEST]
    truth = ours.prepared.targets.has
    costs = measure_trained(ours)
    kept = test if rows is None else rows
    found = []
    for name, part in evaluation.parts.items():
        hears = [Modality(modality) for modality in name.split("+")]
        measured = _figures(part, kept, truth)
        if measured is not None:
            found.append(_entry(OURS, name, measured, costs, hears))
    whole = _figures(Slice(test, evaluation.predictions), kept, truth)
    every = _entry(OURS, AS_THEY_ARE, whole, costs, tuple(costs.encoders))
    found.append(every.model_copy(update={"training_s": sum(ours.seconds.values())}))
    for name, rival in evaluation.rivals.items():
        figures = _figures(Slice(test, rival), kept, truth)
        found.append(Entry(system=name, hears="text" if name == "TF-IDF" else "", figures=figures))
    return found


def recipe_entries(name: str, ours: Trained, trained: TrainedRecipe) -> list[Entry]:
    """Each branch of a recipe alone where there are several, and last all together.

    What it hears says so where it learnt other labels than our head: then the figures are not of the same.
    """
    costs = measure_trained(trained)
    labels = trained.prepared.targets.labels
    own = "" if labels == ours.prepared.targets.labels else f", {len(labels)} labels of its own"
    found = []
    for compared in trained.compared:
        hears = [Modality(modality) for modality in compared.name.split("+")]
        found.append(_entry(name, f"{compared.name}{own}", compared.test, costs, hears))
    found[-1] = found[-1].model_copy(update={"training_s": sum(trained.seconds.values())})
    return found


def complete_rows(trained: TrainedRecipe) -> NDArray[np.int64]:
    """The test items int64 [n] that have all of the recipe's modalities."""
    return _whole_slice(trained).rows


def leads(name: str, ours: Trained, recipe: TrainedRecipe, seed: int) -> list[Gate]:
    """Our head beside the recipe on the test items that have all of its modalities, by paired bootstrap.

    Each hears what it can of them. Of a recipe that learnt other labels than our head, those of both count;
    without any there is nothing to compare, and the list is empty.
    """
    known, learnt = ours.prepared.targets.labels, recipe.prepared.targets.labels
    # A merged tail is no label that our head could know by the same name.
    both = [label for label in known if known == learnt or (label in learnt and label != OTHERS)]
    if not both:
        return []
    rival = name if known == learnt else f"{name} ({len(both)} labels that both learnt)"
    theirs = _whole_slice(recipe)
    place = np.searchsorted(ours.prepared.split[Fold.TEST], theirs.rows)
    of_ours, of_theirs = [known.index(label) for label in both], [learnt.index(label) for label in both]
    mine = ours.evaluation.predictions.only(place, of_ours)
    its = theirs.predictions.only(np.arange(len(theirs.rows)), of_theirs)
    truth = ours.prepared.targets.has[theirs.rows][:, of_ours]
    groups = [ours.prepared.groups[row] for row in theirs.rows]
    return gates(rival, truth, mine, its, groups, [GateFigure.MEAN_AP, GateFigure.MICRO_F1], seed)


def _whole_slice(trained: TrainedRecipe) -> Slice:
    name = trained.compared[-1].name
    if name not in trained.evaluation.parts:
        raise TrainingError(f"too few test items have all of {name} to compare on")
    return trained.evaluation.parts[name]


def _figures(part: Slice, kept: NDArray[np.int64], truth: NDArray[np.bool_]) -> Figures | None:
    """Of those of the slice's rows that are kept; None without any."""
    those = np.flatnonzero(np.isin(part.rows, kept))
    if not len(those):
        return None
    predictions = Predictions(part.predictions.confidences[those], part.predictions.decided[those])
    return measure_decided(truth[part.rows[those]], predictions)


def _entry(
    system: str, hears: str, figures: Figures | None, costs: Costs, modalities: Sequence[Modality]
) -> Entry:
    return Entry(
        system=system,
        hears=hears,
        figures=figures,
        size_bytes=costs.size_bytes(modalities),
        inference_ms=costs.inference_ms(modalities),
    )
