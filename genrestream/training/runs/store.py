"""The runs at one place, written and read through MLflow's client."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from genrestream.training.runs.client import client_to_read, client_to_write, in_one_line
from genrestream.training.runs.contents import Measured
from genrestream.training.runs.place import ARTIFACTS, Place

FINISHED = "FINISHED"
FAILED = "FAILED"

EXPERIMENTS = "genrestream/"
"""Stands before a head's name in its experiment's: a server may hold those of others."""


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run as it was read back."""

    run: str
    """MLflow's id."""
    head: str
    """KIND-TASK."""
    status: str
    """running, finished or failed; one whose process was killed stays running."""
    began_at: datetime
    ended_at: datetime | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    """Of a curve the last epoch."""
    tags: Mapping[str, str]


class RunStore:
    """Writes and reads runs; `to_write` and `to_read` open it.

    Every method raises:
        TrainingError: the place cannot be written, read or reached.
    """

    def __init__(self, place: Place, client: Any) -> None:
        self._place = place
        self._client = client

    @classmethod
    def to_write(cls, place: Place) -> "RunStore":
        """The store at the place, made where there is none yet; raises as `client_to_write`."""
        return cls(place, client_to_write(place))

    @classmethod
    def to_read(cls, place: Place) -> "RunStore":
        """The store at the place, which has to be there; raises as `client_to_read`."""
        return cls(place, client_to_read(place))

    def begin(self, head: str, name: str, tags: Mapping[str, str]) -> str:
        """The id of a new run of the head, which is running."""
        with self._writing():
            experiment = self._experiment(f"{EXPERIMENTS}{head}")
            run = self._client.create_run(experiment, tags={**tags, "head": head}, run_name=name)
            return str(run.info.run_id)

    def write(
        self,
        run: str,
        params: Mapping[str, str] | None = None,
        figures: Iterable[Measured] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Add to a run; what a parameter is once said to be cannot be said otherwise."""
        from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415 - optional

        now_ms = int(time.time() * 1000)
        with self._writing():
            self._client.log_batch(
                run,
                metrics=[Metric(figure.name, figure.value, now_ms, figure.step) for figure in figures],
                params=[Param(name, value) for name, value in (params or {}).items()],
                tags=[RunTag(name, value) for name, value in (tags or {}).items()],
                synchronous=True,
            )

    def keep_text(self, run: str, name: str, text: str) -> None:
        """Keep a text as a file of the run."""
        with self._writing():
            self._client.log_text(run, text, name)

    def keep_file(self, run: str, path: Path) -> None:
        """Keep a copy of a file under its name."""
        with self._writing():
            self._client.log_artifact(run, str(path))

    def end(self, run: str, status: str) -> None:
        """The run is over."""
        with self._writing():
            self._client.set_terminated(run, status)

    def newest(self, limit: int, head: str | None = None) -> list[RecordedRun]:
        """At most so many runs, of one head or of all, the newest first."""
        with in_one_line(f"cannot read the runs in {self._place.shown}"):
            heads = self._heads(head)
            if not heads:
                return []
            order = ["attributes.start_time DESC"]
            found = self._client.search_runs(list(heads), max_results=limit, order_by=order)
            return [_recorded(run, heads[run.info.experiment_id]) for run in found]

    def _heads(self, head: str | None) -> dict[str, str]:
        """The heads that have experiments, by the experiment's id."""
        if head is None:
            named = self._client.search_experiments(filter_string=f"name LIKE '{EXPERIMENTS}%'")
        else:
            known = self._client.get_experiment_by_name(f"{EXPERIMENTS}{head}")
            named = [] if known is None else [known]
        return {found.experiment_id: found.name.removeprefix(EXPERIMENTS) for found in named}

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException  # noqa: PLC0415 - optional

        known = self._client.get_experiment_by_name(name)
        if known is not None:
            return str(known.experiment_id)
        # A server knows where files go. Without one MLflow would put them into the folder it is started in.
        database = self._place.database
        artifacts = None if database is None else (database.parent / ARTIFACTS / name).as_uri()
        try:
            return str(self._client.create_experiment(name, artifact_location=artifacts))
        except MlflowException as error:
            # Another training began the head's first run at the same moment.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return str(self._client.get_experiment_by_name(name).experiment_id)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with in_one_line(f"cannot record runs in {self._place.shown}"):
            yield


def _recorded(run: Any, head: str) -> RecordedRun:
    ended_ms = run.info.end_time
    return RecordedRun(
        run=run.info.run_id,
        head=head,
        status=run.info.status.lower(),
        began_at=_moment(run.info.start_time),
        ended_at=None if ended_ms is None else _moment(ended_ms),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags=dict(run.data.tags),
    )


def _moment(unix_ms: int) -> datetime:
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
