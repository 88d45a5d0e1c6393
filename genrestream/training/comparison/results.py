"""What a contest gave, kept as JSON, so that a comparison that was broken off goes on where it was."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from genrestream.repository.atomic import write_atomically
from genrestream.schemas.releases import Gate
from genrestream.training.catalogue import ITEMS_FILE
from genrestream.training.comparison.entries import Entry
from genrestream.training.comparison.other_labels import OtherEntry
from genrestream.training.errors import TrainingError
from genrestream.training.recipes.spec import RecipeSpec
from genrestream.training.versions import code_digest, library_versions

RESULT = "result.json"
MAX_RESULT_BYTES = 16 * 1024 * 1024


class Result(BaseModel):
    """One contest with one seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contest: str
    seed: int
    fingerprint: str
    """Of all that it depends on."""
    entries: tuple[Entry, ...]
    leads: tuple[Gate, ...]
    """Our head beside each recipe."""
    other: tuple[OtherEntry, ...] = ()
    """The same test items by the labels of another set."""
    pages: dict[str, str]
    """The report page of each system that was trained, by its name."""


def fingerprint(
    contest: object,
    folder: Path,
    recipes: Sequence[RecipeSpec],
    seed: int,
    epochs: int,
    device: str,
    other: Path | None = None,
) -> str:
    """SHA-256, hexadecimal, of all that decides a result: the contest, its items and those of the `other`
    set, the recipes as they are run, the device, the libraries, and the code, which built the encoders as
    well.

    Raises:
        TrainingError: the items cannot be read.
    """
    said = {
        "contest": repr(contest),
        "items": _digest(folder),
        "other": None if other is None else _digest(other),
        "recipes": [recipe.model_dump(mode="json") for recipe in recipes],
        "seed": seed,
        "epochs": epochs,
        "device": device,
        "versions": library_versions(),
        "code": code_digest(),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _digest(folder: Path) -> str:
    try:
        with (folder / ITEMS_FILE).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TrainingError(f"cannot read {folder / ITEMS_FILE}: {error.strerror}") from error


def read_result(folder: Path, wanted: str) -> Result | None:
    """The result in a contest's folder, if it is that of the fingerprint `wanted`."""
    path = folder / RESULT
    try:
        if path.stat().st_size > MAX_RESULT_BYTES:
            return None
        result = Result.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        # Not there, or of another version: it is made anew.
        return None
    return result if result.fingerprint == wanted else None


def write_result(folder: Path, result: Result) -> None:
    """Keep a result.

    Raises:
        TrainingError: the folder cannot be written.
    """
    try:
        write_atomically(folder / RESULT, result.model_dump_json(indent=1).encode() + b"\n")
    except OSError as error:
        raise TrainingError(f"cannot write {folder / RESULT}: {error.strerror}") from error
