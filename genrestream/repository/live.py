"""`live.json`: which version of a head is live, written when its release has been announced."""

from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genrestream.repository.atomic import write_atomically
from genrestream.repository.errors import RepositoryError
from genrestream.repository.layout import LIVE_POINTER, read_limited
from genrestream.schemas.releases import NAME, ReleaseAction


class ModelVersion(BaseModel):
    """One version of one Triton model."""

    model_config = ConfigDict(frozen=True)

    model: str = Field(pattern=NAME)
    version: int = Field(ge=1)


class LivePointer(ModelVersion):
    """The live version of a head, and the one live before it, which stays loaded for a rollback."""

    action: ReleaseAction
    announced_at: datetime
    previous: ModelVersion | None = None

    @property
    def served(self) -> list[ModelVersion]:
        """The live version and the one before it."""
        live = ModelVersion(model=self.model, version=self.version)
        return [live] if self.previous is None else [live, self.previous]


def next_pointer(
    before: LivePointer | None, live: ModelVersion, action: ReleaseAction, announced_at: datetime
) -> LivePointer:
    """The pointer after `before`; announcing the live version again keeps its predecessor."""
    previous = None
    if before is not None:
        was = before.served[0]
        previous = before.previous if was == live else was
    return LivePointer(
        model=live.model, version=live.version, action=action, announced_at=announced_at, previous=previous
    )


def read_live(directory: Path) -> LivePointer | None:
    """The pointer in a head's folder, or None if nothing was released yet.

    Raises:
        RepositoryError: the file is there and not valid.
    """
    path = directory / LIVE_POINTER
    if not path.exists():
        return None
    try:
        return LivePointer.model_validate_json(read_limited(path))
    except ValidationError as error:
        raise RepositoryError(f"{path} is no live pointer: {first_error(error)}") from error


def write_live(directory: Path, pointer: LivePointer) -> None:
    """Replace the pointer atomically.

    Raises:
        RepositoryError: the folder cannot be written.
    """
    try:
        write_atomically(directory / LIVE_POINTER, pointer.model_dump_json(indent=2).encode() + b"\n")
    except OSError as error:
        raise RepositoryError(f"cannot write {directory / LIVE_POINTER}: {error.strerror}") from error


def first_error(error: ValidationError) -> str:
    """The first fault of a validation in one line: where and what."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]
