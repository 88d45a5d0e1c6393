"""From catalogue sets and an encoder to a tuned encoder in the model repository.

Reads as the flow; each step is a module of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from genrestream.repository import Repository
from genrestream.schemas.items import Modality
from genrestream.training.embeddings import embed
from genrestream.training.encode_chunk import Encoder
from genrestream.training.encoder_choice import PRETRAINED as PRETRAINED_MODELS
from genrestream.training.encoder_choice import STARTER
from genrestream.training.encoders.build import Built, build_encoder
from genrestream.training.encoders.draft import Draft
from genrestream.training.encoders.examples import Examples
from genrestream.training.errors import TrainingError
from genrestream.training.fine_tune.base import Base, load_base
from genrestream.training.fine_tune.export import draft_of
from genrestream.training.fine_tune.items import TuneItems
from genrestream.training.fine_tune.linear import LinearFigures, LinearFit, embed_items, fit_linear
from genrestream.training.fine_tune.names import tuned_name
from genrestream.training.fine_tune.network import LinearHead, new_network
from genrestream.training.fine_tune.record import TUNING, source_of, tuning_file
from genrestream.training.fine_tune.settings import PRETRAINED, TuneSettings
from genrestream.training.fine_tune.stages import Stage, tune_network
from genrestream.training.frozen_split import SPLIT
from genrestream.training.prepare import MIN_MODALITY_ITEMS, Prepared, labelled
from genrestream.training.processes import leave_to_first
from genrestream.training.recipes.branches import BranchFeatures
from genrestream.training.recipes.data import RecipeRows, read_rows
from genrestream.training.recipes.network import RecipeNetwork
from genrestream.training.record import split_file
from genrestream.training.request import Progress, TrainRequest

EXAMPLE_ITEMS = 2
"""Enough to see an encoder's shape."""


@dataclass(frozen=True, slots=True)
class TuneRequest:
    """Which encoder is to be tuned, and on what."""

    training: TrainRequest
    """What a training with the same options would learn from and be measured on."""
    modality: Modality
    spec: str = PRETRAINED
    """`pretrained`, or what `genrestream encoders build` takes."""
    name: str | None = None
    """Of the tuned encoder; None: made of the untuned one's, the kind and the task."""
    settings: TuneSettings = field(default_factory=TuneSettings)


@dataclass(frozen=True, slots=True)
class Tuned:
    """The tuned encoder, and what is to be shown of it."""

    built: Built
    split: Path
    """The folds that it was tuned on, for the heads over it."""
    figures: Mapping[str, LinearFigures]
    """A linear layer on the test fold: over the untuned encoder, the tuned one, and its served graph."""
    stages: tuple[Stage, ...]
    prepared: Prepared
    unreadable: int
    """Media that are named and could not be read."""
    companions: tuple[str, ...]
    """Encoders in the repository for the other modalities that the items have."""


def fine_tune(request: TuneRequest, progress: Progress = lambda step, done, total: None) -> Tuned:
    """A version of a tuned encoder in the repository, better on the calibration fold than it was.

    Of the request's training `encoders`, `aim` and the like count for nothing: they are the later head's. Of
    several processes that have joined, the first returns and the others end.

    Raises:
        TrainingError: the sets or the encoder cannot be used, or tuning made nothing better; nothing is
            written then.
        RepositoryError, TaxonomyError, FeatureSetupError: as their modules say.
    """
    training, modality, settings = request.training, request.modality, request.settings
    progress("reading the encoder", 0, 1)
    base = load_base(modality, request.spec)
    name = tuned_name(request.name, base.model, modality, training.kind, training.task)
    progress("reading the encoder", 1, 1)

    prepared = labelled(training, progress)
    examples = prepared.catalogue.examples
    _refuse_few(prepared, modality)
    rows = _read(prepared, base, training.store, progress)
    items = TuneItems.of(modality, rows, prepared.targets.has, prepared.split)

    example = rows.batch(items.train[:EXAMPLE_ITEMS], "cpu")[modality]
    network = new_network(base.encoder, modality, example, items.has[items.train], training.fit.device)
    untuned = _linear("embeddings before", network, items, request, progress)
    network.head = LinearHead(modality, untuned.branch)
    stages = tune_network(network, items, example, settings, training.fit.seed, training.fit.device, progress)
    leave_to_first()
    tuned = _linear("embeddings after", network, items, request, progress)
    figures = {"untuned": untuned.test, "tuned": tuned.test}

    def build(_: Examples, report: Progress) -> Draft:
        draft = draft_of(base, name, source_of(base, training, items), items, examples, report)
        tuning = tuning_file(base, training, settings, prepared, items, figures, stages)
        return replace(draft, beside={**draft.beside, SPLIT: split_file(prepared), TUNING: tuning})

    built = build_encoder(build, training.models, Examples(), progress)
    repository = Repository(training.models)
    directory = repository.version_dir(built.record.model, built.record.version)
    # The embeddings stay in the store, where a training finds them.
    served = embed(
        examples,
        [Encoder(built.record, directory)],
        None,
        prepared.features.max_text_chars,
        training.store,
        lambda done, total: progress("embeddings as served", done, total),
    )
    figures["tuned, as served"] = fit_linear(served.rows, items, training.fit.seed).test
    return Tuned(
        built=built,
        split=directory / SPLIT,
        figures=figures,
        stages=stages,
        prepared=prepared,
        unreadable=rows.unreadable,
        companions=_companions(repository, prepared, modality),
    )


def _refuse_few(prepared: Prepared, modality: Modality) -> None:
    count = prepared.catalogue.modalities()[modality]
    if count < MIN_MODALITY_ITEMS:
        raise TrainingError(
            f"{count} items have {modality}; to tune an encoder of it at least {MIN_MODALITY_ITEMS} must"
        )


def _read(prepared: Prepared, base: Base, store: Path, progress: Progress) -> RecipeRows:
    with TemporaryDirectory() as files:
        return read_rows(
            prepared.catalogue.examples,
            {base.modality: BranchFeatures(base.features, base.beside)},
            prepared.features.max_text_chars,
            Path(files),
            store,
            lambda done, total: progress("features", done, total),
        )


def _linear(
    step: str, network: RecipeNetwork, items: TuneItems, request: TuneRequest, progress: Progress
) -> LinearFit:
    """A linear layer over what the encoder gives as it is now."""
    fit = request.training.fit
    embedded = embed_items(
        network,
        items,
        request.settings.batch_items,
        fit.device,
        lambda done, total: progress(step, done, total),
    )
    return fit_linear(embedded, items, fit.seed)


def _companions(repository: Repository, prepared: Prepared, modality: Modality) -> tuple[str, ...]:
    """By the rule of `train`: the pretrained one where there is one, else the starter."""
    counts = prepared.catalogue.modalities()
    found: list[str] = []
    for other in Modality:
        if other is not modality and counts[other] >= MIN_MODALITY_ITEMS:
            names = (PRETRAINED_MODELS[other], STARTER[other])
            found += [name for name in names if repository.versions(name)][:1]
    return tuple(found)
