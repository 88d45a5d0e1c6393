"""A training as a recorded run: begun before anything is computed, finished with the candidate, or failed."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from genrestream.repository import Candidate
from genrestream.repository.layout import PAGE
from genrestream.training.errors import TrainingError
from genrestream.training.recipes.spec import load_recipe
from genrestream.training.runs.contents import asked_for, asked_params, found_params, measured
from genrestream.training.runs.origin import commit_tags, set_fingerprints
from genrestream.training.runs.place import place_of
from genrestream.training.runs.store import FAILED, FINISHED, RunStore
from genrestream.training.versions import library_versions

if TYPE_CHECKING:
    from genrestream.training.request import TrainRequest

log = logging.getLogger(__name__)

ASKED = "asked.json"
MAX_ERROR_CHARS = 500


class Recorder(Protocol):
    """Takes down what a training was asked for, and then what it found."""

    def asked(self, request: "TrainRequest", recipe: str | None) -> None:
        """Before anything is computed; `recipe` is the name or file of the recipe, if it is one.

        Raises:
            TrainingError: a set or the recipe cannot be read, or the run cannot be recorded.
        """

    def found(self, candidate: Candidate, seconds: Mapping[str, float]) -> None:
        """When the candidate is written, after so many seconds by step.

        Raises:
            TrainingError: the run cannot be recorded; the candidate stays.
        """


@contextmanager
def recording(address: str | None) -> Iterator[Recorder]:
    """A recorder of one training at a folder or server; without an address it takes nothing down.

    A run that is begun and then left by an error, Ctrl-C too, is marked as failed.

    Raises:
        TrainingError: there is no such place, or it cannot be written or reached, or MLflow is not installed.
    """
    if address is None:
        yield _Unrecorded()
        return
    run = _Recorded(RunStore.to_write(place_of(address)))
    try:
        yield run
    except BaseException as error:
        run.failed(error)
        raise


class _Unrecorded:
    def asked(self, request: "TrainRequest", recipe: str | None) -> None:
        pass

    def found(self, candidate: Candidate, seconds: Mapping[str, float]) -> None:
        pass


class _Recorded:
    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._run: str | None = None
        """That is begun and not over."""

    def asked(self, request: "TrainRequest", recipe: str | None) -> None:
        asked = asked_for(request, None if recipe is None else load_recipe(recipe))
        params = asked_params(asked)
        tags = {
            "mlflow.source.name": "genrestream train",
            "mlflow.source.type": "LOCAL",
            "sets_sha256": json.dumps(set_fingerprints(request.sets)),
            **{f"version.{name}": version for name, version in library_versions().items()},
            **commit_tags(),
        }
        name = f"{params.get('recipe.name', 'own head')}, seed {params['seed']}"
        self._run = self._store.begin(f"{request.kind}-{request.served_as}", name, tags)
        self._store.write(self._run, params=params)
        # All of it, uncut; and a place that takes no files is found out before the training.
        self._store.keep_text(self._run, ASKED, json.dumps(asked, default=str, indent=1) + "\n")

    def found(self, candidate: Candidate, seconds: Mapping[str, float]) -> None:
        if self._run is None:
            raise RuntimeError("nothing was asked for yet")
        try:
            self._write(self._run, candidate, seconds)
        except (TrainingError, OSError) as error:
            raise TrainingError(
                f"the candidate {candidate.directory} is written, but not its run: {error}"
            ) from error
        self._run = None

    def _write(self, run: str, candidate: Candidate, seconds: Mapping[str, float]) -> None:
        from genrestream.training.record import REPORT, SPLIT  # noqa: PLC0415 - imports torch

        folder, release = candidate.directory, candidate.release
        report = json.loads((folder / REPORT).read_bytes())
        folds = {fold: len(keys) for fold, keys in json.loads((folder / SPLIT).read_bytes()).items()}
        self._store.write(
            run,
            params=found_params(release, report, folds),
            figures=measured(report, release.gates, seconds),
            tags={"candidate": str(folder.absolute())},
        )
        for name in (PAGE, REPORT, SPLIT):
            self._store.keep_file(run, folder / name)
        self._store.end(run, FINISHED)

    def failed(self, error: BaseException) -> None:
        """Mark a run that is begun and not over."""
        if self._run is None:
            return
        reason = f"{type(error).__name__}: {error}"[:MAX_ERROR_CHARS]
        try:
            self._store.write(self._run, tags={"error": reason})
            self._store.end(self._run, FAILED)
        except TrainingError as trouble:
            # What broke the training off is what the user has to know, and is raised on.
            log.warning("the run %s is not marked as failed: %s", self._run, trouble)
