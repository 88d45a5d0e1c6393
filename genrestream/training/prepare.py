"""Everything that is decided before anything is computed: labels, split, encoders, features."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from genrestream.repository import Repository
from genrestream.schemas.features import AudioFeatures, FeatureSpec, ImageFeatures, TextFeatures
from genrestream.schemas.items import Modality
from genrestream.schemas.taxonomy import taxonomy
from genrestream.training.catalogue import Catalogue, read_catalogue
from genrestream.training.encode_chunk import Encoder
from genrestream.training.encoder_choice import choose_encoders
from genrestream.training.errors import TrainingError
from genrestream.training.request import TrainRequest
from genrestream.training.split import Fold, Split, split_by_group
from genrestream.training.targets import Targets, make_targets
from genrestream.training.terms_size import hashed_features

MIN_MODALITY_ITEMS = 30
"""A modality that fewer items have is not learnt: nothing could be measured on it."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The plan of a training."""

    catalogue: Catalogue
    targets: Targets
    split: Split
    encoders: list[Encoder]
    features: FeatureSpec

    @property
    def groups(self) -> list[str]:
        """The group of each item."""
        return [example.group for example in self.catalogue.examples]


def prepare(request: TrainRequest) -> Prepared:
    """The plan for the request's sets.

    Raises:
        TrainingError: the sets cannot be used, or an encoder is missing.
        RepositoryError, TaxonomyError: as their modules say.
    """
    catalogue, targets, split = labelled(request)
    modalities = _modalities(catalogue)
    encoders = choose_encoders(Repository(request.models), request.encoders, modalities)
    features = _features(encoders, modalities, len(targets.labels), request.word_buckets)
    return Prepared(catalogue, targets, split, encoders, features)


def labelled(request: TrainRequest) -> tuple[Catalogue, Targets, Split]:
    """The items with their labels as the taxonomy has them, what is learnt of these, and the folds.

    Raises:
        TrainingError: the sets cannot be used.
        TaxonomyError: there is no such taxonomy or source.
    """
    catalogue = _mapped(read_catalogue(request.sets, request.kind, request.task), request)
    targets = make_targets([example.labels for example in catalogue.examples], request.min_items)
    groups = [example.group for example in catalogue.examples]
    split = split_by_group(targets.has, groups, request.fit.seed)
    return catalogue, _learnable(targets, split, request.min_items), split


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
            f"{int(kept.sum())} labels stand on at least {min_items} training items; two are needed "
            "(--min-items lowers the bound)"
        )
    return targets.only(kept)


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
