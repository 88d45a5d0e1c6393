"""From catalogue sets to a candidate: read, split, embed, fit, fuse, calibrate, tune, evaluate, export.

Reads as the flow; each step is a module of its own. Legend: n items, k branches, l labels, m modalities.
"""

import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from genrestream.repository import GOLDEN, GRAPH, Candidate, Repository, add_candidate
from genrestream.repository.golden import Golden, pack_golden
from genrestream.schemas.features import AudioFeatures, FeatureSpec, ImageFeatures, TextFeatures
from genrestream.schemas.items import Kind, Modality
from genrestream.schemas.releases import EncoderReference, Release
from genrestream.schemas.taxonomy import AS_GIVEN, taxonomy
from genrestream.training.baselines import all_zeros, prior_only, terms_alone
from genrestream.training.calibrate import calibrate
from genrestream.training.catalogue import Catalogue, read_catalogue
from genrestream.training.embeddings import EmbeddedItems, embed
from genrestream.training.encode_chunk import Encoder
from genrestream.training.encoder_choice import AUTO, choose_encoders
from genrestream.training.errors import TrainingError
from genrestream.training.evaluate import Evaluation, measure_slices, refuse_collapsed
from genrestream.training.export import check_parity, export_head, round_tables
from genrestream.training.fit import FitSettings, FittedBranches, branch_logits, fit_branches
from genrestream.training.fuse import fit_gate
from genrestream.training.golden_rows import golden_inputs
from genrestream.training.head_rows import HeadRows
from genrestream.training.heads import FusedHead
from genrestream.training.metrics import measure
from genrestream.training.split import Fold, Split, assign_groups, split_by_group
from genrestream.training.targets import Targets, make_targets
from genrestream.training.terms_size import hashed_features
from genrestream.training.thresholds import Aim, choose_thresholds

CROSS_FIT_PARTS = 4
MIN_MODALITY_ITEMS = 30
"""A modality that fewer items have is not learnt: nothing could be measured on it."""

REPORT = "report.json"
SPLIT = "split.json"

Progress = Callable[[str, int, int], None]
"""Called with the step's name, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What to train on, and how."""

    sets: Sequence[Path]
    kind: Kind
    task: str
    served_as: str
    """The name of the task in releases and label records."""
    models: Path
    store: Path
    """Where embeddings are kept."""
    encoders: str = AUTO
    min_items: int = 10
    """Training items that a label needs."""
    aim: Aim = Aim.MICRO_F1
    precision_floor: float = 0.7
    word_buckets: int | None = None
    """None: as large as the labels allow."""
    taxonomy: str = AS_GIVEN
    source: str = ""
    """Whose labels the taxonomy maps."""
    fit: FitSettings = field(default_factory=FitSettings)


@dataclass(frozen=True, slots=True)
class Trained:
    """The candidate, and what is to be shown of it."""

    candidate: Candidate
    evaluation: Evaluation
    labels_left_out: int
    unlabelled: int
    unreadable: int
    seconds: dict[str, float]


def train(request: TrainRequest, progress: Progress = lambda step, done, total: None) -> Trained:
    """A candidate in the repository, better than the labels' frequencies.

    Raises:
        TrainingError: the sets or encoders cannot be used, or the head collapsed; nothing is written then.
        RepositoryError, TaxonomyError, FeatureSetupError: as their modules say.
    """
    watch = _Watch()
    catalogue = _mapped(read_catalogue(request.sets, request.kind, request.task), request)
    targets = make_targets([example.labels for example in catalogue.examples], request.min_items)
    groups = [example.group for example in catalogue.examples]
    split = split_by_group(targets.has, groups, request.fit.seed)
    targets = _learnable(targets, split, request.min_items)
    encoders = choose_encoders(Repository(request.models), request.encoders, _modalities(catalogue))
    features = _features(request, encoders, catalogue, len(targets.labels))
    watch.lap("read")
    embedded = embed(
        catalogue.examples,
        encoders,
        features.hashed_text,
        features.max_text_chars,
        request.store,
        lambda done, total: progress("features and embeddings", done, total),
    )
    watch.lap("embed")
    head, fitted, logits = _fit(request.fit, embedded.rows, targets.has, split, groups, progress)
    watch.lap("fit")
    predict = _Predictor(head, logits)
    tuned = split[Fold.THRESHOLD]
    thresholds = choose_thresholds(
        targets.has[tuned],
        predict(tuned, embedded.rows.presence[tuned]),
        request.aim,
        request.precision_floor,
    )
    evaluation = _evaluate(predict, fitted, logits, embedded, targets, split, thresholds, request.fit.seed)
    watch.lap("evaluate")
    graph = export_head(head, len(targets.labels))
    inputs, rows = golden_inputs(embedded.rows, split[Fold.TEST], features.hashed_text, head.gate.modalities)
    confidences = check_parity(graph, inputs, predict(rows, inputs["presence"]))
    release = _release(request, encoders, features, targets, thresholds, evaluation, catalogue, head)
    files = {
        GRAPH: graph,
        GOLDEN: pack_golden(Golden(inputs, confidences)),
        SPLIT: _json({fold: [catalogue.examples[row].key for row in split[fold]] for fold in Fold}),
        REPORT: _json(_report(evaluation, fitted, request, targets, embedded, catalogue)),
    }
    run = f"{release.created_at:%Y%m%dt%H%M%S}-{secrets.token_hex(3)}"
    candidate = add_candidate(request.models, run, files, release)
    watch.lap("export")
    return Trained(
        candidate,
        evaluation,
        targets.left_out,
        catalogue.unlabelled,
        embedded.unreadable,
        watch.seconds,
    )


class _Watch:
    """Seconds a step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, step: str) -> None:
        now = time.monotonic()
        self.seconds[step] = now - self._since
        self._since = now


class _Predictor:
    """Confidences from branch logits that were computed once, under any presence mask."""

    def __init__(self, head: FusedHead, logits: NDArray[np.float32]) -> None:
        self._gate = head.gate
        self._logits = logits

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What the head listens to."""
        return self._gate.modalities

    def __call__(self, rows: NDArray[np.int64], presence: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            confidences: NDArray[np.float32] = self._gate(
                torch.from_numpy(self._logits[rows]), torch.from_numpy(presence)
            ).numpy()
        return confidences


def _mapped(catalogue: Catalogue, request: TrainRequest) -> Catalogue:
    """The labels as the taxonomy has them; items that keep none count as unlabelled."""
    rules = taxonomy(request.taxonomy)
    examples = [
        replace(example, labels=rules.map(request.source, example.labels)) for example in catalogue.examples
    ]
    kept = tuple(example for example in examples if example.labels)
    if not kept:
        raise TrainingError(f"the taxonomy {request.taxonomy} leaves no item of {request.source} a label")
    dropped = len(examples) - len(kept)
    return replace(catalogue, examples=kept, unlabelled=catalogue.unlabelled + dropped)


def _learnable(targets: Targets, split: Split, min_items: int) -> Targets:
    kept = targets.has[split[Fold.TRAIN]].sum(axis=0) >= min_items
    if kept.sum() < 2:
        raise TrainingError(
            f"{int(kept.sum())} labels stand on at least {min_items} training items; two are needed"
        )
    return targets.only(kept)


def _modalities(catalogue: Catalogue) -> list[Modality]:
    counts = catalogue.modalities()
    found = [modality for modality in Modality if counts[modality] >= MIN_MODALITY_ITEMS]
    if not found:
        raise TrainingError(f"fewer than {MIN_MODALITY_ITEMS} items have any one modality")
    return found


def _features(
    request: TrainRequest, encoders: Sequence[Encoder], catalogue: Catalogue, labels: int
) -> FeatureSpec:
    by_modality = {encoder.record.modality: encoder.record.features for encoder in encoders}
    text, image, audio = (by_modality.get(modality) for modality in Modality)
    with_text = Modality.TEXT in _modalities(catalogue)
    return FeatureSpec(
        text=text if isinstance(text, TextFeatures) else None,
        image=image if isinstance(image, ImageFeatures) else None,
        audio=audio if isinstance(audio, AudioFeatures) else None,
        hashed_text=hashed_features(labels, request.word_buckets) if with_text else None,
    )


def _fit(
    settings: FitSettings,
    rows: HeadRows,
    targets: NDArray[np.bool_],
    split: Split,
    groups: Sequence[str],
    progress: Progress,
) -> tuple[FusedHead, FittedBranches, NDArray[np.float32]]:
    """The calibrated head, its branches, and their logits for all items [n, k, l]."""
    train = split[Fold.TRAIN]
    parts = assign_groups(
        targets[train], [groups[row] for row in train], [1.0] * CROSS_FIT_PARTS, settings.seed
    )
    fitted = fit_branches(
        rows, targets, train, parts, settings, lambda done, total: progress("training", done, total)
    )
    names = fitted.branches.names
    gate = fit_gate(names, fitted.held_out_logits, rows.presence[train], targets[train], settings.seed)
    head = FusedHead(fitted.branches, gate)
    round_tables(head)
    logits = branch_logits(fitted.branches, rows, np.arange(len(rows)), settings)
    fold = split[Fold.CALIBRATION]
    head.gate = calibrate(gate, logits[fold], rows.presence[fold], targets[fold])
    return head, fitted, logits


def _evaluate(
    predict: _Predictor,
    fitted: FittedBranches,
    logits: NDArray[np.float32],
    embedded: EmbeddedItems,
    targets: Targets,
    split: Split,
    thresholds: NDArray[np.float64],
    seed: int,
) -> Evaluation:
    test, train = split[Fold.TEST], split[Fold.TRAIN]
    presence = embedded.rows.presence
    confidences = predict(test, presence[test])
    head = measure(targets.has[test], confidences, thresholds)
    baselines = {
        "frequencies": prior_only(targets.has[train], targets.has[test]),
        "all zeros": all_zeros(targets.has[test]),
    }
    names = fitted.branches.names
    terms = terms_alone(fitted.held_out_logits, logits, names, presence, targets.has, split, seed)
    if terms is not None:
        baselines["TF-IDF"] = terms
    refuse_collapsed(confidences, thresholds, head, baselines["frequencies"])
    modalities = predict.modalities
    slices = measure_slices(predict, test, presence, targets.has, thresholds, modalities)
    return Evaluation(head, slices, baselines)


def _release(
    request: TrainRequest,
    encoders: Sequence[Encoder],
    features: FeatureSpec,
    targets: Targets,
    thresholds: NDArray[np.float64],
    evaluation: Evaluation,
    catalogue: Catalogue,
    head: FusedHead,
) -> Release:
    rules = taxonomy(request.taxonomy)
    return Release(
        kind=request.kind,
        task=request.served_as,
        model=f"{request.kind}-{request.served_as}",
        version=1,
        labels=targets.labels,
        thresholds=tuple(round(float(threshold), 4) for threshold in thresholds),
        taxonomy=rules.name,
        taxonomy_version=rules.version,
        features=features,
        feature_hash=features.spec_hash,
        encoders={
            encoder.record.modality: EncoderReference(
                model=encoder.record.model,
                version=encoder.record.version,
                embedding_dim=encoder.record.embedding_dim,
            )
            for encoder in encoders
        },
        modalities=head.gate.modalities,
        metrics={name: round(float(value), 4) for name, value in evaluation.head.as_dict().items()},
        trained_on=catalogue.items_of_set,
        checksums={},
        created_at=datetime.now(UTC),
    )


def _report(
    evaluation: Evaluation,
    fitted: FittedBranches,
    request: TrainRequest,
    targets: Targets,
    embedded: EmbeddedItems,
    catalogue: Catalogue,
) -> dict[str, Any]:
    figures = {name: found.as_dict() for name, found in evaluation.baselines.items()}
    return {
        "test": evaluation.head.as_dict(),
        "baselines": figures,
        "slices": {name: found.as_dict() for name, found in evaluation.slices.items()},
        "curves": fitted.curves,
        "settings": asdict(request.fit),
        "aim": request.aim,
        "items_by_label": dict(zip(targets.labels, targets.has.sum(axis=0).tolist(), strict=True)),
        "labels_left_out": targets.left_out,
        "unlabelled_items": catalogue.unlabelled,
        "unreadable_media": embedded.unreadable,
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"
