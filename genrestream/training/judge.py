"""A released head, or a candidate, measured on catalogue sets through its served graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genrestream.repository import GRAPH, Repository
from genrestream.repository.graph import Graph
from genrestream.schemas.releases import Release
from genrestream.schemas.taxonomy import Taxonomy, taxonomy
from genrestream.schemas.tensors import CONFIDENCES, PRESENCE, TERM_IDS, TERM_WEIGHTS, embedding_input
from genrestream.training.baselines import all_zeros
from genrestream.training.catalogue import Example, read_catalogue
from genrestream.training.encode_chunk import Encoder
from genrestream.training.errors import TrainingError
from genrestream.training.evaluate import Slice, predict_slices, slice_figures
from genrestream.training.groups import rows_of_some
from genrestream.training.head_inputs import head_inputs_of
from genrestream.training.head_rows import HeadRows
from genrestream.training.learnt_items import unseen
from genrestream.training.metrics import Figures, Predictions, decide, measure_decided
from genrestream.training.near_duplicates import find_clusters
from genrestream.training.request import Progress
from genrestream.training.set_figures import SetFigures, measure_sets
from genrestream.training.split import MAX_MEASURED_ITEMS

BATCH_ITEMS = 32
DRAW_SEED = 0
"""Of the items that are measured where there are more than may be."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Figures on items that the head was not trained on."""

    head: Figures
    slices: dict[str, Figures]
    all_zeros: Figures
    sets: SetFigures
    labels: tuple[int, ...]
    """The head's labels that were measured, by their place."""
    unknown_labels: tuple[str, ...]
    """Labels of the head that the source never gives; they are not measured."""
    left_out: int
    """Items of the sets that the head or its encoders learnt, stopped or were tuned on, and the rest of their
    clusters."""
    not_drawn: int
    """Other items that it never saw and that are beyond the bound."""
    examples: Sequence[Example]
    """The items measured on, n."""
    groups: list[str]
    """Of each item, over near-duplicates."""
    rows: HeadRows
    truth: NDArray[np.bool_]
    """[n, l]"""
    predictions: Predictions
    parts: dict[str, Slice]
    """What the slices' figures were measured on."""


def judge(
    repository: Repository,
    directory: Path,
    release: Release,
    sets: Sequence[Path],
    task: str,
    store: Path,
    source: str = "",
    progress: Progress = lambda step, done, total: None,
    most_items: int = MAX_MEASURED_ITEMS,
) -> Judgement:
    """The head in `directory` on the items of the sets that its training never saw.

    `task` is the key in `labels`; `source` says whose labels the release's taxonomy maps: it need not be the
    one that the head was trained on, and labels that it never gives are not measured. Of more than
    `most_items` whole groups are drawn by chance, the same for the same items: memory is bounded by it.

    Raises:
        TrainingError: no item is left to measure on.
        RepositoryError, TaxonomyError: as their modules say.
    """
    catalogue = read_catalogue(sets, release.kind, task)
    clusters = find_clusters(
        catalogue.examples, store, lambda done, total: progress("near-duplicates", done, total)
    ).names
    encoders = encoders_of(repository, release)
    learners = [directory, *(encoder.directory for encoder in encoders)]
    rows_unseen = unseen(catalogue.examples, clusters, learners)
    if not len(rows_unseen):
        raise TrainingError("the head was trained on every item of these sets; nothing is left to measure on")
    never_seen = len(rows_unseen)
    rows_unseen = rows_unseen[rows_of_some([clusters[row] for row in rows_unseen], most_items, DRAW_SEED)]
    examples = catalogue.examples.only(rows_unseen)
    rows = head_inputs_of(examples, encoders, release.features, store, progress).rows
    rules = taxonomy(release.taxonomy)
    truth = _truth([rules.map(source, labels) for labels in examples.labels], release)
    given = rules.given_by(source) if isinstance(rules, Taxonomy) else frozenset(release.labels)
    if release.others is not None:
        given |= {release.others}
    kept = [place for place, label in enumerate(release.labels) if label in given]
    if not kept:
        raise TrainingError(f"none of the head's labels is one that the source {source} gives")
    truth = truth[:, kept]
    graph = Graph(directory / GRAPH)

    def predict(which: NDArray[np.int64], presence: NDArray[np.float32]) -> NDArray[np.float32]:
        return predict_with(graph, release, rows, which, presence)[:, kept]

    everything = np.arange(len(examples))
    thresholds = np.array(release.thresholds)[kept]
    confidences = predict(everything, rows.presence)
    predictions = Predictions(confidences, decide(confidences, thresholds))
    read = None if rows.read is None else rows.read.presence
    parts = predict_slices(predict, everything, rows.presence, thresholds, release.modalities, read)
    return Judgement(
        head=measure_decided(truth, predictions),
        slices=slice_figures(parts, truth),
        sets=measure_sets(truth, predictions),
        labels=tuple(kept),
        unknown_labels=tuple(label for label in release.labels if label not in given),
        all_zeros=measure_decided(truth, all_zeros(*truth.shape)),
        left_out=len(catalogue.examples) - never_seen,
        not_drawn=never_seen - len(examples),
        examples=examples,
        groups=[clusters[row] for row in rows_unseen],
        rows=rows,
        truth=truth,
        predictions=predictions,
        parts=parts,
    )


def predict_with(
    graph: Graph,
    release: Release,
    rows: HeadRows,
    which: NDArray[np.int64],
    presence: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Confidences float32 [n, l] of the served graph for some rows under a presence mask [n, m]."""
    results = []
    for start in range(0, len(which), BATCH_ITEMS):
        batch, mask = which[start : start + BATCH_ITEMS], presence[start : start + BATCH_ITEMS]
        results.append(graph.run(graph_inputs(release, rows, batch, mask), CONFIDENCES))
    return np.concatenate(results) if results else np.zeros((0, len(release.labels)), np.float32)


def graph_inputs(
    release: Release, rows: HeadRows, batch: NDArray[np.int64], mask: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """The tensors of a head's graph for a batch of rows int64 [b] under a presence mask [b, m]."""
    inputs: dict[str, NDArray[Any]] = {PRESENCE: mask}
    for modality in release.encoders:
        inputs[embedding_input(modality)] = rows.embedded(modality, batch, mask)
    if rows.terms is not None:
        inputs[TERM_IDS], inputs[TERM_WEIGHTS] = rows.padded_terms(batch, mask)
    return inputs


def encoders_of(repository: Repository, release: Release) -> list[Encoder]:
    """The encoders that the release was trained with."""
    return [
        Encoder(
            repository.encoder(reference.model, reference.version),
            repository.version_dir(reference.model, reference.version),
        )
        for reference in release.encoders.values()
    ]


def _truth(labels_of_items: Sequence[tuple[str, ...]], release: Release) -> NDArray[np.bool_]:
    index = {label: place for place, label in enumerate(release.labels)}
    truth = np.zeros((len(labels_of_items), len(release.labels)), np.bool_)
    for row, labels in enumerate(labels_of_items):
        named = [release.others if label not in index else label for label in labels]
        truth[row, [index[label] for label in named if label is not None]] = True
    return truth
