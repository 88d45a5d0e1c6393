"""What is written beside a head's graph: the release record, the split and the report."""

import json
from datetime import UTC, datetime
from typing import Any

from genrestream.schemas.releases import EncoderReference, Release
from genrestream.schemas.taxonomy import taxonomy
from genrestream.training import frozen_split
from genrestream.training.outcome import Outcome
from genrestream.training.prepare import Prepared
from genrestream.training.request import TrainRequest
from genrestream.training.skipped import skipped
from genrestream.training.split import Fold
from genrestream.training.targets import OTHERS
from genrestream.training.versions import library_versions

REPORT = "report.json"
SPLIT = frozen_split.SPLIT


def release_record(request: TrainRequest, outcome: Outcome) -> Release:
    """The record; version and checksums are filled in by the model repository."""
    prepared, rules = outcome.prepared, taxonomy(request.taxonomy)
    return Release(
        kind=request.kind,
        task=request.served_as,
        model=f"{request.kind}-{request.served_as}",
        version=1,
        labels=prepared.targets.labels,
        others=OTHERS if request.keep_labels and OTHERS in prepared.targets.labels else None,
        thresholds=tuple(round(float(threshold), 4) for threshold in outcome.thresholds),
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
        modalities=outcome.modalities,
        metrics={name: round(float(value), 4) for name, value in outcome.evaluation.head.as_dict().items()},
        trained_on=prepared.catalogue.items_of_set,
        gates=outcome.gates,
        checksums={},
        created_at=datetime.now(UTC),
    )


def split_file(prepared: Prepared) -> bytes:
    """The keys of the items in each fold, as JSON."""
    examples = prepared.catalogue.examples
    return _json({fold: [examples[row].key for row in prepared.split[fold]] for fold in Fold})


def report_file(request: TrainRequest, outcome: Outcome) -> bytes:
    """All figures, the baselines beside them, and what the training itself has to report, as JSON."""
    prepared, evaluation = outcome.prepared, outcome.evaluation
    targets = prepared.targets
    return _json(
        {
            "test": evaluation.head.as_dict(),
            "baselines": {name: found.as_dict() for name, found in evaluation.baselines.items()},
            "slices": {name: found.as_dict() for name, found in evaluation.slices.items()},
            "beside_branches": {name: found.as_dict() for name, found in outcome.beside.items()},
            **outcome.details,
            "versions": library_versions(),
            "split": {fold: len(prepared.split[fold]) for fold in Fold},
            "aim": request.aim,
            "items_by_label": dict(zip(targets.labels, targets.has.sum(axis=0).tolist(), strict=True)),
            **skipped(outcome),
            "near_duplicates_joined": prepared.clusters.counts(),
            "frozen_split": prepared.frozen.counts() if prepared.frozen else None,
        }
    )


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"
