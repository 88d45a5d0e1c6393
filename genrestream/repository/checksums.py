"""SHA-256 sums of the files of a version's folder; the record that lists them is left out."""

import hashlib
from pathlib import Path

from genrestream.repository.errors import RepositoryError
from genrestream.repository.layout import RECORDS


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_checksums(directory: Path) -> dict[str, str]:
    """SHA-256 of every file in the folder but its record, by name."""
    files = sorted(path for path in directory.iterdir() if path.name not in RECORDS)
    return {path.name: file_sha256(path) for path in files}


def verify_checksums(directory: Path, expected: dict[str, str]) -> None:
    """Compare a folder with what its record says.

    Raises:
        RepositoryError: a file is missing, differs, or is not in the record.
    """
    try:
        found = folder_checksums(directory)
    except OSError as error:
        raise RepositoryError(f"cannot read {error.filename}: {error.strerror}") from error
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise RepositoryError(f"{directory / name} is missing; its record lists it")
        if name not in expected:
            raise RepositoryError(f"{directory / name} is not in the folder's record")
        if found[name] != expected[name]:
            raise RepositoryError(f"{directory / name} is not the file that its record describes (SHA-256)")
