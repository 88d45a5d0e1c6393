"""Where findings come from: a training that is about to be written, or a head judged on other items."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from genrestream.repository import GRAPH, Repository
from genrestream.schemas.releases import Release
from genrestream.training.beside_branches import beside_branches
from genrestream.training.evaluate import Slice
from genrestream.training.judge import Judgement, encoders_of
from genrestream.training.metrics import Figures
from genrestream.training.outcome import Outcome
from genrestream.training.report.costs import measure_costs
from genrestream.training.report.findings import ComparedNetwork, Findings, Training
from genrestream.training.report.page import render
from genrestream.training.request import TrainRequest
from genrestream.training.skipped import IN_WORDS, skipped
from genrestream.training.split import Fold
from genrestream.training.versions import library_versions

SEED = 0
"""Of the bootstrap where nothing is trained."""


def training_page(request: TrainRequest, outcome: Outcome, release: Release) -> bytes:
    """The page of a training, on its test fold; as UTF-8."""
    prepared, evaluation = outcome.prepared, outcome.evaluation
    test = prepared.split[Fold.TEST]
    with TemporaryDirectory() as folder:
        path = Path(folder) / GRAPH
        path.write_bytes(outcome.graph)
        costs = measure_costs(path, release, outcome.rows, test, prepared.encoders)
    # The slices' rows are those of all items; the page knows those of the test fold alone.
    place = np.full(len(prepared.targets.has), -1, np.int64)
    place[test] = np.arange(len(test))
    parts = {name: Slice(place[part.rows], part.predictions) for name, part in evaluation.parts.items()}
    return render(
        Findings(
            release=release,
            examples=[prepared.catalogue.examples[row] for row in test],
            groups=[prepared.groups[row] for row in test],
            presence=outcome.rows.presence[test],
            truth=prepared.targets.has[test],
            predictions=evaluation.predictions,
            figures=evaluation.head,
            baselines=evaluation.baselines,
            slices=evaluation.slices,
            parts=parts,
            beside=outcome.beside,
            costs=costs,
            versions=library_versions(),
            seed=request.fit.seed,
            training=_training(request, outcome),
        )
    )


def judgement_page(repository: Repository, directory: Path, release: Release, judgement: Judgement) -> bytes:
    """The page of a head on items that its training never saw; as UTF-8."""
    everything = np.arange(len(judgement.examples))
    encoders = encoders_of(repository, release)
    measured = release.model_copy(
        update={
            "labels": tuple(release.labels[place] for place in judgement.labels),
            "thresholds": tuple(release.thresholds[place] for place in judgement.labels),
        }
    )
    return render(
        Findings(
            release=measured,
            examples=judgement.examples,
            groups=judgement.groups,
            presence=judgement.rows.presence,
            truth=judgement.truth,
            predictions=judgement.predictions,
            figures=judgement.head,
            baselines={"all zeros": judgement.all_zeros},
            slices=judgement.slices,
            parts=judgement.parts,
            beside=beside_branches(judgement.parts, judgement.truth, judgement.groups, SEED),
            costs=measure_costs(directory / GRAPH, release, judgement.rows, everything, encoders),
            versions=library_versions(),
            seed=SEED,
        )
    )


def _training(request: TrainRequest, outcome: Outcome) -> Training:
    prepared = outcome.prepared
    learnt = prepared.split.without(Fold.TEST)
    asked: dict[str, str | float] = {
        "sets": ", ".join(folder.name for folder in request.sets),
        "task": request.task,
        "served_as": request.served_as,
        "encoders": request.encoders,
        "min_items": request.min_items,
        "aim": request.aim,
        "precision_floor": request.precision_floor,
        "taxonomy": request.taxonomy,
        "source": request.source,
    }
    if prepared.features.hashed_text is not None:
        asked["word_buckets"] = prepared.features.hashed_text.word_buckets
    settings = {**asked, **outcome.fit}
    return Training(
        picture_text_ms=outcome.details.get("picture_text_ms"),
        curves=outcome.curves,
        networks={name: _network(found) for name, found in outcome.details.get("compared", {}).items()},
        split_items={fold: len(prepared.split[fold]) for fold in Fold},
        items_by_label=prepared.targets.has[learnt].sum(axis=0),
        settings={name: str(value) for name, value in settings.items()},
        left_out={IN_WORDS[name]: count for name, count in skipped(outcome).items()},
    )


def _network(found: Mapping[str, Any]) -> ComparedNetwork:
    """As the report has it."""
    curves = found["curves"]
    return ComparedNetwork(
        Figures(**found["test"]), found["inference_ms"], curves["train"], curves["validation"]
    )
