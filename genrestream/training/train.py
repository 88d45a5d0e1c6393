"""From catalogue sets to a candidate: prepare, embed, fit, tune, evaluate, export.

Reads as the flow; each step is a module of its own.
"""

import secrets
import time
from dataclasses import dataclass

from genrestream.repository import GOLDEN, GRAPH, Candidate, add_candidate
from genrestream.repository.golden import Golden, pack_golden
from genrestream.schemas.tensors import PRESENCE
from genrestream.training.embeddings import embed
from genrestream.training.evaluate import Evaluation, evaluate
from genrestream.training.export import check_parity, export_head
from genrestream.training.fit_head import fit_head
from genrestream.training.golden_rows import golden_inputs
from genrestream.training.prepare import prepare
from genrestream.training.record import REPORT, SPLIT, release_record, report_file, split_file
from genrestream.training.request import Progress, TrainRequest
from genrestream.training.rivals import measure_gates
from genrestream.training.split import Fold
from genrestream.training.thresholds import choose_thresholds


@dataclass(frozen=True, slots=True)
class Trained:
    """The candidate, and what is to be shown of it."""

    candidate: Candidate
    evaluation: Evaluation
    labels_left_out: int
    unlabelled: int
    unreadable: int
    seconds: dict[str, float]
    """By step."""


def train(request: TrainRequest, progress: Progress = lambda step, done, total: None) -> Trained:
    """A candidate in the repository, better than the labels' frequencies.

    Raises:
        TrainingError: the sets or encoders cannot be used, or the head collapsed; nothing is written then.
        RepositoryError, TaxonomyError, FeatureSetupError: as their modules say.
    """
    watch = Watch()
    prepared = prepare(request)
    targets, split, features = prepared.targets, prepared.split, prepared.features
    watch.lap("prepare")

    embedded = embed(
        prepared.catalogue.examples,
        prepared.encoders,
        features.hashed_text,
        features.max_text_chars,
        request.store,
        lambda done, total: progress("features and embeddings", done, total),
    )
    rows = embedded.rows
    watch.lap("embed")

    fitted = fit_head(
        rows,
        targets.has,
        split,
        prepared.groups,
        request.fit,
        lambda done, total: progress("training", done, total),
    )
    watch.lap("fit")

    tuned = split[Fold.THRESHOLD]
    confidences = fitted.predict(tuned, rows.presence[tuned])
    thresholds = choose_thresholds(targets.has[tuned], confidences, request.aim, request.precision_floor)
    evaluation = evaluate(fitted, rows.presence, targets.has, split, thresholds, request.fit.seed)
    gates = measure_gates(request, prepared, evaluation)
    watch.lap("evaluate")

    graph = export_head(fitted.head, len(targets.labels))
    inputs, chosen = golden_inputs(rows, split[Fold.TEST], features.hashed_text, fitted.modalities)
    golden = Golden(inputs, check_parity(graph, inputs, fitted.predict(chosen, inputs[PRESENCE])))
    release = release_record(request, prepared, fitted.modalities, thresholds, evaluation, gates)
    files = {
        GRAPH: graph,
        GOLDEN: pack_golden(golden),
        SPLIT: split_file(prepared),
        REPORT: report_file(request, prepared, embedded, fitted, evaluation),
    }
    run = f"{release.created_at:%Y%m%dt%H%M%S}-{secrets.token_hex(3)}"
    candidate = add_candidate(request.models, run, files, release)
    watch.lap("export")
    unlabelled = prepared.catalogue.unlabelled
    return Trained(candidate, evaluation, targets.left_out, unlabelled, embedded.unreadable, watch.seconds)


class Watch:
    """Seconds a step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, step: str) -> None:
        """Count the time since the last lap as the step's."""
        now = time.monotonic()
        self.seconds[step] = now - self._since
        self._since = now
