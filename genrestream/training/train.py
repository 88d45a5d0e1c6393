"""From catalogue sets to a candidate: prepare, embed, fit, tune, evaluate, export.

Reads as the flow; each step is a module of its own.
"""

import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genrestream.repository import GOLDEN, GRAPH, Candidate, add_candidate
from genrestream.repository.golden import Golden, pack_golden
from genrestream.repository.layout import PAGE
from genrestream.schemas.releases import Gate
from genrestream.schemas.tensors import PRESENCE
from genrestream.training.embeddings import embed
from genrestream.training.evaluate import Evaluation, evaluate
from genrestream.training.export import check_parity, export_head
from genrestream.training.fit_head import FittedHead, fit_head
from genrestream.training.golden_rows import golden_inputs
from genrestream.training.head_rows import HeadRows
from genrestream.training.prepare import Prepared, prepare
from genrestream.training.record import REPORT, SPLIT, release_record, report_file, split_file
from genrestream.training.report.sources import training_page
from genrestream.training.request import Progress, TrainRequest
from genrestream.training.rivals import measure_gates
from genrestream.training.split import Fold, Split
from genrestream.training.thresholds import Aim, choose_thresholds, lowered_for_unused


@dataclass(frozen=True, slots=True)
class Trained:
    """The candidate, and what is to be shown of it."""

    candidate: Candidate
    evaluation: Evaluation
    prepared: Prepared
    unreadable: int
    """Media that are named and could not be read."""
    seconds: dict[str, float]
    """By step."""
    loss_gate: Gate | None = None
    """How the loss that was asked for fared against binary cross-entropy, if it was another."""

    @property
    def page(self) -> Path:
        """The report for people, in the candidate's folder."""
        return self.candidate.directory / PAGE


def train(request: TrainRequest, progress: Progress = lambda step, done, total: None) -> Trained:
    """A candidate in the repository, better than the labels' frequencies.

    Raises:
        TrainingError: the sets or encoders cannot be used, or the head collapsed; nothing is written then.
        RepositoryError, TaxonomyError, FeatureSetupError: as their modules say.
    """
    watch = Watch()
    prepared = prepare(request, progress)
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
        prepared.judges,
    )
    watch.lap("fit")

    thresholds = _thresholds(request, fitted, rows, targets.has, split)
    evaluation = evaluate(fitted, rows.presence, targets.has, split, thresholds, request.fit.seed)
    gates = measure_gates(request, prepared, evaluation)
    watch.lap("evaluate")

    graph = export_head(fitted.head, len(targets.labels))
    inputs, chosen = golden_inputs(rows, split[Fold.TEST], features.hashed_text, fitted.modalities)
    golden = Golden(inputs, check_parity(graph, inputs, fitted.predict(chosen, inputs[PRESENCE])))
    release = release_record(request, prepared, fitted.modalities, thresholds, evaluation, gates)
    watch.lap("export")

    page = training_page(
        request,
        prepared,
        rows,
        fitted.trial.crossed.curves,
        asdict(request.fit),
        embedded.unreadable,
        evaluation,
        release,
        graph,
    )
    watch.lap("report")

    files = {
        GRAPH: graph,
        GOLDEN: pack_golden(golden),
        SPLIT: split_file(prepared),
        REPORT: report_file(request, prepared, embedded, fitted, evaluation),
        PAGE: page,
    }
    run = f"{release.created_at:%Y%m%dt%H%M%S}-{secrets.token_hex(3)}"
    candidate = add_candidate(request.models, run, files, release)
    watch.lap("write")
    return Trained(candidate, evaluation, prepared, embedded.unreadable, watch.seconds, fitted.trial.gate)


def _thresholds(
    request: TrainRequest, fitted: FittedHead, rows: HeadRows, has: NDArray[np.bool_], split: Split
) -> NDArray[np.float64]:
    tuned = split[Fold.THRESHOLD]
    confidences = fitted.predict(tuned, rows.presence[tuned])
    thresholds = choose_thresholds(has[tuned], confidences, request.aim, request.precision_floor)
    if request.aim is Aim.PRECISION:
        return thresholds
    learnt = split.without(Fold.TEST)
    return lowered_for_unused(thresholds, has[learnt], fitted.predict(learnt, rows.presence[learnt]))


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
