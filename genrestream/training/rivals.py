"""A trained head against its rivals on the test fold: baselines, what is live, its own branches."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genrestream.repository import GRAPH, Repository, RepositoryError
from genrestream.repository.graph import Graph
from genrestream.schemas.releases import Gate, GateFigure
from genrestream.training.beside_branches import BesideBranches
from genrestream.training.evaluate import MIN_SLICE_ITEMS, Evaluation
from genrestream.training.gates import gates, live_rival
from genrestream.training.head_inputs import head_inputs_of
from genrestream.training.judge import encoders_of, predict_with
from genrestream.training.learnt_items import unseen
from genrestream.training.metrics import Predictions, decide
from genrestream.training.prepare import Prepared
from genrestream.training.request import TrainRequest
from genrestream.training.split import Fold
from genrestream.training.thresholds import Aim

log = logging.getLogger(__name__)

MIN_COMMON_LABELS = 2


@dataclass(frozen=True, slots=True)
class LiveRival:
    """What the live version says of the test items that it never saw, of the labels that both know."""

    name: str
    rows: NDArray[np.int64]
    """Of the test fold."""
    labels: list[int]
    """Of the new head."""
    predictions: Predictions


def measure_gates(
    request: TrainRequest,
    prepared: Prepared,
    evaluation: Evaluation,
    beside: Mapping[str, BesideBranches],
) -> tuple[Gate, ...]:
    """The head against each baseline, against what is live, as far as the two can be compared, and against
    the best of its own branches."""
    test = prepared.split[Fold.TEST]
    truth = prepared.targets.has[test]
    groups = [prepared.groups[row] for row in test]
    seed = request.fit.seed
    figures = [GateFigure.MEAN_AP]
    # The baselines' thresholds are chosen for micro-F1; with another aim it says nothing.
    decided = [GateFigure.MICRO_F1] if request.aim is Aim.MICRO_F1 else []
    found: list[Gate] = []
    for name, rival in evaluation.rivals.items():
        found += gates(name, truth, evaluation.predictions, rival, groups, [*figures, *decided], seed)
    live = live_rival_of(request, prepared)
    if live is not None:
        mine = evaluation.predictions.only(live.rows, live.labels)
        those = [groups[row] for row in live.rows]
        wanted = truth[live.rows][:, live.labels]
        found += gates(live.name, wanted, mine, live.predictions, those, figures, seed)
    return (*found, *(slice_.gate for slice_ in beside.values()))


def live_rival_of(request: TrainRequest, prepared: Prepared) -> LiveRival | None:
    """What is live under the name that the new head will have; None where the two cannot be compared."""
    repository = Repository(request.models)
    pointer = repository.live(f"{request.kind}-{request.served_as}")
    if pointer is None:
        return None
    name = live_rival(pointer)
    try:
        release = repository.release(pointer.model, pointer.version)
        directory = repository.version_dir(pointer.model, pointer.version)
        encoders = encoders_of(repository, release)
        graph = Graph(directory / GRAPH)
    except RepositoryError as error:
        log.warning("%s cannot be compared with: %s", name, error)
        return None
    examples = [prepared.catalogue.examples[row] for row in prepared.split[Fold.TEST]]
    learners = [directory, *(encoder.directory for encoder in encoders)]
    never_seen = unseen(prepared.catalogue.examples, prepared.groups, learners)
    rows = np.flatnonzero(np.isin(prepared.split[Fold.TEST], never_seen))
    labels = [label for label in prepared.targets.labels if label in release.labels]
    if len(rows) < MIN_SLICE_ITEMS or len(labels) < MIN_COMMON_LABELS:
        log.warning(
            "%s cannot be compared with: %d test items that it never saw, %d labels in common",
            name,
            len(rows),
            len(labels),
        )
        return None
    shown = [examples[row] for row in rows]
    embedded = head_inputs_of(shown, encoders, release.features, request.store).rows
    confidences = predict_with(graph, release, embedded, np.arange(len(rows)), embedded.presence)
    theirs = [release.labels.index(label) for label in labels]
    decided = decide(confidences, np.array(release.thresholds))
    return LiveRival(
        name,
        rows,
        [prepared.targets.labels.index(label) for label in labels],
        Predictions(confidences[:, theirs], decided[:, theirs]),
    )
