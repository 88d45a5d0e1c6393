"""MLflow's client, for a place that is known to take or hold runs; its troubles, in one line.

SQLite, because MLflow no longer maintains its folders of files, and a database needs no server.
"""

import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from genrestream.training.errors import TrainingError
from genrestream.training.runs.place import Place

ANSWER_S = 10.0
"""For a server's first answer. MLflow itself would go on trying for some four minutes."""
BUSY_S = 20.0
"""For a database that another process writes to; MLflow waits as long."""
MAX_REASON_CHARS = 300


def client_to_write(place: Place) -> Any:
    """The client of a place that runs can be written to; the database is made where there is none yet.

    Raises:
        TrainingError: MLflow is not installed, or the place cannot be written or reached.
    """
    client_class = _client_class()
    with in_one_line(f"cannot record runs in {place.shown}"):
        if place.database is None:
            _require_answer(place.uri)
            return client_class(place.uri)
        place.database.parent.mkdir(parents=True, exist_ok=True)
        with _alone(place.database):
            _require_database(place.database, "BEGIN IMMEDIATE")
            return client_class(place.uri)


def client_to_read(place: Place) -> Any:
    """The client of a place that holds runs; nothing is made.

    Raises:
        TrainingError: MLflow is not installed, or nothing is there, or it cannot be read or reached.
    """
    client_class = _client_class()
    if place.database is not None and not place.database.is_file():
        raise TrainingError(f"no runs at {place.shown}: `genrestream train ... --runs` records them")
    with in_one_line(f"cannot read the runs in {place.shown}"):
        if place.database is None:
            _require_answer(place.uri)
        else:
            _require_database(place.database, "SELECT version_num FROM alembic_version")
        return client_class(place.uri)


@contextmanager
def in_one_line(what: str) -> Iterator[None]:
    """Turn whatever goes wrong in MLflow, below it, or on the way to it into a `TrainingError`."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 - optional
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        reason = " ".join(_reason(error).split())
        raise TrainingError(f"{what}: {reason[:MAX_REASON_CHARS]}") from error


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return str(error)


def _client_class() -> Any:
    """MLflow's client, quieter than it is by itself.

    Raises:
        TrainingError: it is not installed, or what its databases need is not.
    """
    # At the end of a run it prints the run's address among what `--json` prints.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    try:
        # Its databases need them, and it brings none of them along.
        for needed in ("alembic", "cryptography", "sqlalchemy"):
            import_module(needed)
        from mlflow import MlflowClient  # noqa: PLC0415 - optional
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"{error.name} is not installed; recorded runs need the extra `runs`: "
            "`make setup-training`, or `pip install '.[runs]'`, installs it"
        ) from error
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    # It writes a traceback of what it then raises, and what is raised is told in one line.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    return MlflowClient


@contextmanager
def _alone(database: Path) -> Iterator[None]:
    """MLflow makes its tables without a lock: two trainings that begin together would both do it."""
    with database.with_name(f".{database.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _require_database(path: Path, statement: str) -> None:
    """Return if SQLite takes the statement. MLflow would try ten times in 100 s before it said what is wrong.

    Raises:
        sqlite3.Error: it does not.
    """
    with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as connection:
        connection.execute(statement)


def _require_answer(uri: str) -> None:
    """Return if a server answers, whatever it says.

    Raises:
        OSError: none does.
    """
    import requests  # noqa: PLC0415 - comes with MLflow

    # A certificate that is not trusted is an answer: MLflow has settings of its own to trust it.
    with suppress(requests.exceptions.SSLError):
        requests.head(uri, timeout=ANSWER_S, allow_redirects=False)
