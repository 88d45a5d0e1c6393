"""Everything that is decided before anything is computed: labels, split, encoders, features."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genrestream.repository import Repository
from genrestream.schemas.features import (
    AudioFeatures,
    FeatureSpec,
    ImageFeatures,
    PictureTextFeatures,
    TextFeatures,
)
from genrestream.schemas.items import Modality
from genrestream.schemas.taxonomy import taxonomy
from genrestream.training.catalogue import Catalogue, read_catalogue
from genrestream.training.encode_chunk import Encoder
from genrestream.training.encoder_choice import choose_encoders
from genrestream.training.errors import TrainingError
from genrestream.training.frozen_split import FrozenSplit, frozen_split
from genrestream.training.learnt_items import judges, refuse_learnt
from genrestream.training.near_duplicates import Clusters, find_clusters
from genrestream.training.picture_texts import refuse_unread
from genrestream.training.request import Progress, TrainRequest
from genrestream.training.split import Fold, Split, split_by_group
from genrestream.training.targets import Targets, make_targets, merge_rare
from genrestream.training.terms_size import hashed_features

MIN_MODALITY_ITEMS = 30
"""A modality that fewer items have is not learnt: nothing could be measured on it."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The plan of a training."""

    catalogue: Catalogue
    targets: Targets
    split: Split
    clusters: Clusters
    frozen: FrozenSplit | None
    """The split that was used again."""
    encoders: Sequence[Encoder] = ()
    judges: NDArray[np.int64] | None = None
    """The rows that teach the gate; None before the encoders are known."""
    features: FeatureSpec = field(default_factory=FeatureSpec)

    @property
    def groups(self) -> list[str]:
        """The group of each item, over near-duplicates: no two folds share one."""
        return self.clusters.names


def prepare(request: TrainRequest, progress: Progress = lambda step, done, total: None) -> Prepared:
    """The plan for the request's sets.

    Raises:
        TrainingError: the sets cannot be used, or an encoder is missing or learnt from the test fold.
        RepositoryError, TaxonomyError: as their modules say.
    """
    prepared = labelled(request, progress)
    modalities = _modalities(prepared.catalogue)
    encoders = choose_encoders(Repository(request.models), request.encoders, modalities)
    examples, split = prepared.catalogue.examples, prepared.split
    refuse_learnt(examples, prepared.groups, encoders, split)
    judging = judges(examples, prepared.groups, encoders, split)
    features = _features(encoders, modalities, len(prepared.targets.labels), request.word_buckets)
    if request.read_pictures:
        features = _reading(features, modalities)
    return replace(prepared, encoders=encoders, judges=judging, features=features)


def labelled(request: TrainRequest, progress: Progress = lambda step, done, total: None) -> Prepared:
    """The items with their labels as the taxonomy has them, what is learnt of these, and the folds; no more.

    Raises:
        TrainingError: the sets cannot be used.
        TaxonomyError: there is no such taxonomy or source.
    """
    catalogue = _mapped(read_catalogue(request.sets, request.kind, request.task), request)
    targets = make_targets(catalogue.examples.labels, request.min_items)
    clusters = find_clusters(
        catalogue.examples, request.store, lambda done, total: progress("near-duplicates", done, total)
    )
    frozen = None if request.split is None else _frozen(request.split, catalogue, clusters)
    split = frozen.split if frozen else split_by_group(targets.has, clusters.names, request.fit.seed)
    if request.keep_labels is not None:
        merged = merge_rare(
            catalogue.examples.labels, split[Fold.TRAIN], request.keep_labels, request.min_items
        )
        targets = make_targets(merged, request.min_items)
    learnt = _learnable(targets, split, request.min_items)
    return Prepared(catalogue, learnt, split, clusters, frozen)


def _frozen(path: Path, catalogue: Catalogue, clusters: Clusters) -> FrozenSplit:
    keys = [example.key for example in catalogue.examples]
    return frozen_split(path, keys, catalogue.examples.groups, clusters.names)


def _mapped(catalogue: Catalogue, request: TrainRequest) -> Catalogue:
    """The labels as the taxonomy has them; items that keep none count as unlabelled."""
    rules = taxonomy(request.taxonomy)
    mapped = [rules.map(request.source, labels) for labels in catalogue.examples.labels]
    given = {label for labels in catalogue.examples.labels for label in labels}
    unknown = len(rules.unmapped(request.source, given))
    kept = np.flatnonzero([bool(labels) for labels in mapped])
    if not len(kept):
        raise TrainingError(f"the taxonomy {request.taxonomy} leaves no item of {request.source} a label")
    dropped = len(mapped) - len(kept)
    examples = catalogue.examples.only(kept, [mapped[row] for row in kept])
    unlabelled = catalogue.unlabelled + dropped
    return replace(catalogue, examples=examples, unlabelled=unlabelled, unknown_labels=unknown)


def _learnable(targets: Targets, split: Split, min_items: int) -> Targets:
    kept = targets.has[split[Fold.TRAIN]].sum(axis=0) >= min_items
    if kept.sum() < 2:
        raise TrainingError(
            f"{int(kept.sum())} labels stand on at least {min_items} training items; two are needed "
            "(--min-items lowers the bound)"
        )
    return targets.only(kept)


def _reading(features: FeatureSpec, modalities: Sequence[Modality]) -> FeatureSpec:
    refuse_unread()
    if Modality.IMAGE not in modalities or Modality.TEXT not in modalities:
        raise TrainingError("what texts in pictures are worth is learnt from items with pictures and texts")
    return features.model_copy(update={"picture_text": PictureTextFeatures()})


def _modalities(catalogue: Catalogue) -> list[Modality]:
    counts = catalogue.modalities()
    found = [modality for modality in Modality if counts[modality] >= MIN_MODALITY_ITEMS]
    if not found:
        raise TrainingError(f"fewer than {MIN_MODALITY_ITEMS} items have any one modality")
    return found


def _features(
    encoders: Sequence[Encoder], modalities: Sequence[Modality], labels: int, word_buckets: int | None
) -> FeatureSpec:
    by_modality = {encoder.record.modality: encoder.record.features for encoder in encoders}
    text, image, audio = (by_modality.get(modality) for modality in Modality)
    return FeatureSpec(
        text=text if isinstance(text, TextFeatures) else None,
        image=image if isinstance(image, ImageFeatures) else None,
        audio=audio if isinstance(audio, AudioFeatures) else None,
        hashed_text=hashed_features(labels, word_buckets) if Modality.TEXT in modalities else None,
    )
