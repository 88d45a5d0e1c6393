"""What is written beside a head's graph: the release record, the split and the report."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas.items import Modality
from genrestream.schemas.releases import EncoderReference, Gate, Release
from genrestream.schemas.taxonomy import taxonomy
from genrestream.training import frozen_split
from genrestream.training.embeddings import EmbeddedItems
from genrestream.training.evaluate import Evaluation
from genrestream.training.fit_head import FittedHead
from genrestream.training.prepare import Prepared
from genrestream.training.request import TrainRequest
from genrestream.training.split import Fold
from genrestream.training.versions import library_versions

REPORT = "report.json"
SPLIT = frozen_split.SPLIT


def release_record(
    request: TrainRequest,
    prepared: Prepared,
    modalities: tuple[Modality, ...],
    thresholds: NDArray[np.float64],
    evaluation: Evaluation,
    gates: tuple[Gate, ...],
) -> Release:
    """The record; version and checksums are filled in by the model repository."""
    rules = taxonomy(request.taxonomy)
    return Release(
        kind=request.kind,
        task=request.served_as,
        model=f"{request.kind}-{request.served_as}",
        version=1,
        labels=prepared.targets.labels,
        thresholds=tuple(round(float(threshold), 4) for threshold in thresholds),
        taxonomy=rules.name,
        taxonomy_version=rules.version,
        features=prepared.features,
        feature_hash=prepared.features.spec_hash,
        encoders={
            encoder.record.modality: EncoderReference(
                model=encoder.record.model,
                version=encoder.record.version,
                embedding_dim=encoder.record.embedding_dim,
            )
            for encoder in prepared.encoders
        },
        modalities=modalities,
        metrics={name: round(float(value), 4) for name, value in evaluation.head.as_dict().items()},
        trained_on=prepared.catalogue.items_of_set,
        gates=gates,
        checksums={},
        created_at=datetime.now(UTC),
    )


def split_file(prepared: Prepared) -> bytes:
    """The keys of the items in each fold, as JSON."""
    examples = prepared.catalogue.examples
    return _json({fold: [examples[row].key for row in prepared.split[fold]] for fold in Fold})


def report_file(
    request: TrainRequest,
    prepared: Prepared,
    embedded: EmbeddedItems,
    fitted: FittedHead,
    evaluation: Evaluation,
) -> bytes:
    """All figures, the baselines beside them, the curves and the settings, as JSON."""
    targets = prepared.targets
    return _json(
        {
            "test": evaluation.head.as_dict(),
            "baselines": {name: found.as_dict() for name, found in evaluation.baselines.items()},
            "slices": {name: found.as_dict() for name, found in evaluation.slices.items()},
            "curves": fitted.trial.crossed.curves,
            "loss": fitted.trial.loss,
            "loss_gate": None if fitted.trial.gate is None else fitted.trial.gate.model_dump(mode="json"),
            "settings": asdict(request.fit),
            "versions": library_versions(),
            "split": {fold: len(prepared.split[fold]) for fold in Fold},
            "aim": request.aim,
            "items_by_label": dict(zip(targets.labels, targets.has.sum(axis=0).tolist(), strict=True)),
            "labels_left_out": targets.left_out,
            "unlabelled_items": prepared.catalogue.unlabelled,
            "unreadable_media": embedded.unreadable,
            "near_duplicates_joined": prepared.clusters.counts(),
            "frozen_split": prepared.frozen.counts() if prepared.frozen else None,
        }
    )


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"
