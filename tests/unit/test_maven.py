"""Jars come from a Maven repository whole and as expected, or not at all; the repository here is a folder."""

import hashlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from genrestream.maven import Jar, MavenError, fetch

CONTENT = b"as published"
JAR = Jar("org.example", "thing", "1.2", hashlib.sha256(CONTENT).hexdigest())


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """No line a request."""


@pytest.fixture
def published(tmp_path, monkeypatch):
    """The folder of a Maven repository that is served in the place of Maven Central."""
    folder = tmp_path / "published"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    home = tmp_path / "home"
    (home / ".config").mkdir(parents=True)
    address = f"http://127.0.0.1:{server.server_port}"
    (home / ".config" / "jgo.conf").write_text(f"[repositories]\ncentral = {address}\n", encoding="utf-8")
    monkeypatch.setattr(Path, "home", lambda: home)
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()


def publish(folder, content):
    path = JAR.path_in(folder)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)


def files_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_what_is_missing_or_damaged_is_fetched(published, tmp_path):
    """What is there stays; what somebody damaged is fetched again."""
    publish(published, CONTENT)
    mine = tmp_path / "mine"
    assert fetch([JAR], mine) == 1
    assert fetch([JAR], mine) == 0
    JAR.path_in(mine).write_bytes(b"damaged")
    assert fetch([JAR], mine) == 1
    assert files_in(mine) == [JAR.path_in(mine)]
    assert JAR.path_in(mine).read_bytes() == CONTENT


def test_another_content_is_refused(published, tmp_path):
    """Nothing of it stays."""
    publish(published, b"something else")
    with pytest.raises(MavenError, match=r"thing 1\.2 from Maven has another SHA-256"):
        fetch([JAR], tmp_path / "mine")
    assert files_in(tmp_path / "mine") == []


@pytest.mark.usefixtures("published")
def test_what_is_not_there_is_an_error(tmp_path):
    """One line that names it."""
    with pytest.raises(MavenError, match=r"cannot download thing 1\.2 from Maven"):
        fetch([JAR], tmp_path / "mine")
    assert files_in(tmp_path / "mine") == []
