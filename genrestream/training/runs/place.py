"""Where runs are recorded: a folder with MLflow's database, or an MLflow server."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from genrestream.training.errors import TrainingError

DATABASE = "mlflow.db"
ARTIFACTS = "artifacts"


@dataclass(frozen=True, slots=True)
class Place:
    """One address of runs."""

    uri: str
    """As MLflow names it."""
    database: Path | None
    """The SQLite file that holds the runs, absolute; None: a server holds them."""

    @property
    def shown(self) -> str:
        """What people know it by."""
        return self.uri if self.database is None else str(self.database)


def place_of(address: str) -> Place:
    """The place that a folder, `sqlite:///FILE` or a server's `http://` or `https://` address names.

    Raises:
        TrainingError: it names none of these.
    """
    scheme, separator, rest = address.partition("://")
    if not address:
        raise TrainingError("runs cannot be recorded: the address of their store is empty")
    if not separator:
        return _file(Path(address) / DATABASE)
    if scheme == "sqlite" and len(rest) > 1 and rest.startswith("/"):
        return _file(Path(rest[1:]))
    if scheme in {"http", "https"}:
        return _server(address)
    raise TrainingError(
        f"runs cannot be recorded in {scheme}://: name a folder, sqlite:///FILE, "
        "or the http:// or https:// address of an MLflow server"
    )


def _file(path: Path) -> Place:
    database = path.absolute()
    # SQLAlchemy would read an escape or a query out of them, and open another file.
    if "%" in str(database) or "?" in str(database):
        raise TrainingError(f"runs cannot be recorded in {database}: its name holds % or ?")
    return Place(f"sqlite:///{database}", database)


def _server(address: str) -> Place:
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise TrainingError(f"{address} is no address: {error}") from error
    # It would stand in process lists and in every message.
    if "@" in parts.netloc:
        raise TrainingError(
            f"leave the user out of the address of {parts.hostname}: "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD have the login"
        )
    if not parts.hostname:
        raise TrainingError(f"{address} is no address: it names no host")
    return Place(address.rstrip("/"), None)
