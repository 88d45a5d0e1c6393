"""Weights out of a jar: the known one, or an error that says how to get it."""

import hashlib
from zipfile import ZipFile

import pytest

from genrestream.maven import Jar
from genrestream.training.encoders.draft import EncoderError
from genrestream.training.encoders.jars import is_fetched, jar_files


@pytest.fixture
def jar(tmp_path, monkeypatch):
    """A jar with two files, as it was fetched."""
    monkeypatch.setenv("GENRESTREAM_TOOLS", str(tmp_path))
    path = Jar("org.example", "weights", "1", "").path_in(tmp_path / "weights")
    path.parent.mkdir(parents=True)
    with ZipFile(path, "w") as archive:
        archive.writestr("graph.onnx", b"graph")
        archive.writestr("tokenizer.json", b"{}")
    return Jar("org.example", "weights", "1", hashlib.sha256(path.read_bytes()).hexdigest())


def test_the_files_are_read(jar):
    """In the order in which they were asked for."""
    assert is_fetched(jar)
    assert jar_files(jar, "tokenizer.json", "graph.onnx") == [b"{}", b"graph"]


def test_a_missing_jar_names_the_command(jar, tmp_path):
    """What the user has to run."""
    jar.path_in(tmp_path / "weights").unlink()
    assert not is_fetched(jar)
    with pytest.raises(EncoderError, match="has not been fetched: make setup-training, or python -m"):
        jar_files(jar, "graph.onnx")


def test_another_jar_is_refused(jar, tmp_path):
    """Weights are read only from the file that the recipe was written for."""
    with ZipFile(jar.path_in(tmp_path / "weights"), "a") as archive:
        archive.writestr("more", b"")
    with pytest.raises(EncoderError, match="expected " + jar.sha256[:12]):
        jar_files(jar, "graph.onnx")


def test_a_jar_without_the_file_is_an_error(jar):
    """It names the jar."""
    with pytest.raises(EncoderError, match=r"cannot read .*weights-1\.jar"):
        jar_files(jar, "other.onnx")
