"""From catalogue sets to a candidate: prepare, embed, fit, tune, evaluate, export.

Reads as the flow; each step is a module of its own.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genrestream.repository import Candidate
from genrestream.repository.layout import PAGE
from genrestream.schemas.releases import Gate
from genrestream.training.beside_branches import beside_branches, branches_alone
from genrestream.training.candidate import write_candidate
from genrestream.training.evaluate import Evaluation, evaluate
from genrestream.training.export import export_head
from genrestream.training.fit_head import FittedHead, fit_head
from genrestream.training.golden_rows import golden_batch
from genrestream.training.head_inputs import head_inputs_of
from genrestream.training.head_rows import HeadRows
from genrestream.training.outcome import Outcome
from genrestream.training.prepare import Prepared, prepare
from genrestream.training.readable import without_unread
from genrestream.training.request import Progress, TrainRequest, refuse_unnameable
from genrestream.training.rivals import measure_gates
from genrestream.training.shares import share_out
from genrestream.training.skipped import skipped
from genrestream.training.split import Fold, Split
from genrestream.training.thresholds import Aim, choose_thresholds, lowered_for_unused
from genrestream.training.watch import Watch


@dataclass(frozen=True, slots=True)
class Trained:
    """The candidate, and what is to be shown of it."""

    candidate: Candidate
    evaluation: Evaluation
    prepared: Prepared
    skipped: Mapping[str, int]
    """What was left out, by the names of `skipped.IN_WORDS`."""
    seconds: dict[str, float]
    """By step."""
    loss_gate: Gate | None = None
    """How the loss that was asked for fared against binary cross-entropy, if it was another."""
    picture_text_ms: float | None = None
    """What it cost one core to read the text in a picture; None where none was read."""

    @property
    def page(self) -> Path:
        """The report for people, in the candidate's folder."""
        return self.candidate.directory / PAGE


def train(request: TrainRequest, progress: Progress = lambda step, done, total: None) -> Trained:
    """A candidate in the repository, better than the labels' frequencies.

    Of several processes that joined each computes its share of the embeddings, and only the first returns.

    Raises:
        TrainingError: the sets or encoders cannot be used, or the head collapsed; nothing is written then.
        RepositoryError, TaxonomyError, FeatureSetupError: as their modules say.
    """
    refuse_unnameable(request)
    watch = Watch()
    prepared = prepare(request, progress)
    targets, split, features = prepared.targets, prepared.split, prepared.features
    watch.lap("prepare")

    share_out(prepared.catalogue.examples, prepared.encoders, features, request.store, progress)
    embedded = head_inputs_of(
        prepared.catalogue.examples, prepared.encoders, features, request.store, progress
    )
    prepared, rows = without_unread(prepared, embedded.rows)
    features = prepared.features
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
    read = None if rows.read is None else rows.read.presence
    evaluation = evaluate(fitted, rows.presence, targets.has, split, thresholds, request.fit.seed, read)
    beside = beside_branches(
        evaluation.parts,
        targets.has,
        prepared.groups,
        request.fit.seed,
        branches_alone(fitted, evaluation.parts),
    )
    gates = measure_gates(request, prepared, evaluation, beside)
    watch.lap("evaluate")

    graph = export_head(fitted.head, len(targets.labels))
    golden = golden_batch(
        graph, fitted.predict, rows, split[Fold.TEST], features.hashed_text, fitted.modalities
    )
    watch.lap("export")

    outcome = Outcome(
        prepared,
        fitted.modalities,
        thresholds,
        evaluation,
        beside,
        gates,
        graph,
        golden,
        rows,
        embedded.unreadable,
        curves=fitted.trial.crossed.curves,
        fit=asdict(request.fit),
        details=_details(request, fitted, embedded.picture_text_ms),
    )
    candidate = write_candidate(request, outcome, watch)
    return Trained(
        candidate,
        evaluation,
        prepared,
        skipped(outcome),
        watch.seconds,
        fitted.trial.gate,
        embedded.picture_text_ms,
    )


def _details(request: TrainRequest, fitted: FittedHead, picture_text_ms: float | None) -> dict[str, Any]:
    trial = fitted.trial
    return {
        "curves": trial.crossed.curves,
        "loss": trial.loss,
        "loss_gate": None if trial.gate is None else trial.gate.model_dump(mode="json"),
        "settings": asdict(request.fit),
        "picture_text_ms": picture_text_ms,
    }


def _thresholds(
    request: TrainRequest, fitted: FittedHead, rows: HeadRows, has: NDArray[np.bool_], split: Split
) -> NDArray[np.float64]:
    tuned = split[Fold.THRESHOLD]
    confidences = fitted.predict(tuned, rows.presence[tuned])
    thresholds = choose_thresholds(has[tuned], confidences, request.aim, request.precision_floor)
    if request.aim is Aim.PRECISION:
        return thresholds
    learnt = split.without(Fold.TEST)

    def confidences_of(some: NDArray[np.int64]) -> NDArray[np.float32]:
        return fitted.predict(learnt[some], rows.presence[learnt[some]])

    return lowered_for_unused(thresholds, has[learnt], confidences_of)
