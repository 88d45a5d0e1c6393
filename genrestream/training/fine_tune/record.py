"""What is kept beside a tuned encoder's graph: what it learnt from, how, and whether it paid."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from genrestream.training.fine_tune.base import Base
from genrestream.training.fine_tune.items import TuneItems
from genrestream.training.fine_tune.linear import LinearFigures
from genrestream.training.fine_tune.settings import TuneSettings
from genrestream.training.fine_tune.stages import Stage
from genrestream.training.prepare import Prepared
from genrestream.training.request import TrainRequest
from genrestream.training.versions import library_versions

TUNING = "tuning.json"


def source_of(base: Base, request: TrainRequest, items: TuneItems) -> str:
    """Where the weights come from, for the encoder's record."""
    sets = ", ".join(folder.name for folder in request.sets)
    return f"{base.source}, tuned on {request.kind} {request.task} of {sets} ({len(items.train)} items)"


def tuning_file(
    base: Base,
    request: TrainRequest,
    settings: TuneSettings,
    prepared: Prepared,
    items: TuneItems,
    figures: Mapping[str, LinearFigures],
    stages: Sequence[Stage],
) -> bytes:
    """All of it as JSON: the same for the same seed, sets, device and libraries."""
    record = {
        "base": {"model": base.model, "source": base.source},
        "sets": [folder.name for folder in request.sets],
        "kind": request.kind,
        "task": request.task,
        "taxonomy": request.taxonomy,
        "labels": prepared.targets.labels,
        "items": {"train": len(items.train), "calibration": len(items.validation), "test": len(items.test)},
        "settings": {
            **asdict(settings),
            "rate": settings.rate_of(items.modality),
            "seed": request.fit.seed,
            "device": request.fit.device,
        },
        "test": {name: found.as_dict() for name, found in figures.items()},
        "stages": [stage.as_dict() for stage in stages],
        "unreadable_media": items.rows.unreadable,
        "near_duplicates_joined": prepared.clusters.counts(),
        "frozen_split": prepared.frozen.counts() if prepared.frozen else None,
        "versions": library_versions(),
    }
    return json.dumps(record, ensure_ascii=False, indent=1).encode() + b"\n"
