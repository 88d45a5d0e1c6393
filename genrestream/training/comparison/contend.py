"""One contest: our head on its set, then each recipe on the same split, each from nothing."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from genrestream.repository import Repository
from genrestream.schemas.items import Modality
from genrestream.schemas.releases import Gate
from genrestream.training.comparison.contests import SAMPLE, Contest
from genrestream.training.comparison.entries import (
    OURS,
    Entry,
    complete_rows,
    leads,
    our_entries,
    recipe_entries,
)
from genrestream.training.comparison.other_labels import other_entries
from genrestream.training.comparison.results import Result, fingerprint, read_result, write_result
from genrestream.training.errors import CollapsedError, TrainingError
from genrestream.training.fit_loop import FitSettings
from genrestream.training.recipes.spec import RecipeSpec, load_recipe
from genrestream.training.recipes.train import TrainedRecipe, train_recipe
from genrestream.training.record import SPLIT
from genrestream.training.request import Progress, TrainRequest
from genrestream.training.train import Trained, train
from genrestream.training.versions import code_digest

Announce = Callable[[str], None]
"""Called with a line for people before something long."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What all contests have in common."""

    data: Path
    work: Path
    """Where encoders and a folder a contest are kept."""
    sample: Path
    """The generated set of podcasts with covers."""
    device: str = "cpu"
    epochs: int = FitSettings().epochs
    """Of our heads, at most."""
    recipe_epochs: int | None = None
    """Of the recipes, at most; None: what their files say."""

    @property
    def encoders(self) -> Path:
        """The model repository with the encoders of our heads, which this code built; it is only read."""
        return self.work / f"encoders-{code_digest()[:12]}"


def contend(
    contest: Contest,
    seed: int,
    settings: Settings,
    progress: Callable[[str], Progress],
    announce: Announce,
) -> Result:
    """The contest's result: the one that is kept, if nothing has changed since.

    `progress` gives each system's own. A recipe that collapses is told in its entry.

    Raises:
        TrainingError: the set cannot be used, a recipe cannot be trained on it, or our own head collapsed;
            no result is kept then.
        RepositoryError, TaxonomyError, FeatureSetupError: as the training's modules say.
    """
    specs = [scaled(load_recipe(name), settings.recipe_epochs) for name in contest.recipes]
    items = settings.sample if contest.set_name == SAMPLE else settings.data / contest.set_name
    folder = settings.work / f"{contest.name}-{seed}"
    other = contest.other_items(settings.data)
    mark = fingerprint(contest, items, specs, seed, settings.epochs, settings.device, other)
    kept = read_result(folder, mark)
    if kept is not None:
        announce(f"{contest.name}, seed {seed}: kept from an earlier run in {os.path.relpath(folder)}")
        return kept
    request = _fresh_request(contest, items, folder, seed, settings)
    announce(f"{contest.name}, seed {seed}: our head")
    ours = train(request, progress("ours"))
    pages = {"ours": str(ours.page)}
    fared = []
    for spec in specs:
        announce(f"{contest.name}, seed {seed}: {spec.describe()}")
        fared.append(_against(request, spec, ours, progress(spec.name)))
        if fared[-1].page is not None:
            pages[spec.name] = str(fared[-1].page)
    trained = [recipe.trained for recipe in fared if recipe.trained is not None]
    # On the items that the recipe can hear in full: with one recipe a contest there is one such set.
    rows = complete_rows(trained[0]) if trained else None
    systems: dict[str, Trained] = {OURS: ours}
    systems |= {spec.name: each.trained for spec, each in zip(specs, fared, strict=True) if each.trained}
    result = Result(
        contest=contest.name,
        seed=seed,
        fingerprint=mark,
        entries=(*our_entries(ours, rows), *(entry for recipe in fared for entry in recipe.entries)),
        leads=tuple(gate for recipe in fared for gate in recipe.leads),
        pages=pages,
        other=tuple(other_entries(contest, settings.data, systems, rows)),
    )
    write_result(folder, result)
    # Some hundred megabytes that nothing reads again: the next run starts from nothing, so that its seconds
    # are honest. What cannot be removed only takes room.
    shutil.rmtree(request.store, ignore_errors=True)
    return result


@dataclass(frozen=True, slots=True)
class Fared:
    """How a recipe fared beside our head."""

    entries: Sequence[Entry]
    leads: Sequence[Gate] = ()
    page: Path | None = None
    trained: TrainedRecipe | None = None


def _against(request: TrainRequest, spec: RecipeSpec, ours: Trained, progress: Progress) -> Fared:
    split = ours.candidate.directory / SPLIT
    # A store of its own: what our head had computed would make the recipe's seconds look fewer.
    theirs = replace(request, served_as=spec.name, split=split, store=request.store / spec.name)
    try:
        trained = train_recipe(theirs, spec, progress)
    except CollapsedError as error:
        # An earlier system that learns nothing is a finding of the comparison, not its end. All else, such as
        # a full disk or missing weights, says nothing of the system and may be gone the next time.
        hears = "+".join(modality for modality in Modality if modality in spec.branches)
        return Fared([Entry(system=spec.name, hears=hears, note=str(error))])
    gates = leads(spec.name, ours, trained, request.fit.seed)
    return Fared(recipe_entries(spec.name, ours, trained), gates, trained.page, trained)


def scaled(spec: RecipeSpec, epochs: int | None) -> RecipeSpec:
    """The recipe with at most so many epochs; None: as its file says."""
    if epochs is None or epochs >= spec.fit.epochs:
        return spec
    return spec.model_copy(update={"fit": spec.fit.model_copy(update={"epochs": epochs})})


def _fresh_request(
    contest: Contest, items: Path, folder: Path, seed: int, settings: Settings
) -> TrainRequest:
    """The request for our head, in an empty folder but for the encoders.

    Raises:
        TrainingError: the folder cannot be made.
    """
    models = folder / "models"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        models.mkdir(parents=True)
        for model in {record.model for record in Repository(settings.encoders).encoders()}:
            # Hard links: a repository's files are never changed in their place.
            shutil.copytree(settings.encoders / model, models / model, copy_function=os.link)
    except OSError as error:
        raise TrainingError(f"cannot write {folder}: {error.strerror or error}") from error
    return TrainRequest(
        sets=[items],
        kind=contest.kind,
        task=contest.task,
        served_as=contest.task,
        models=models,
        store=folder / "embeddings",
        taxonomy=contest.taxonomy,
        source=contest.source,
        fit=FitSettings(epochs=settings.epochs, seed=seed, device=settings.device),
    )
