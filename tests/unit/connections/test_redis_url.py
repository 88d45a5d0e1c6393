"""A REDIS_URL that is none: every command that uses it says so in one line, without the password."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from genrestream.ops.state import StackState

NOWHERE = "127.0.0.1:1"
SECRET = "hush"  # noqa: S105 - what must not show
URL = f"redis://worker:{SECRET}/{SECRET}@127.0.0.1:6379/0"


def run(directory: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    servers = {"KAFKA_BOOTSTRAP": NOWHERE, "TRITON_URL": NOWHERE, "GENRESTREAM_DIR": str(directory)}
    return subprocess.run(
        [sys.executable, "-m", "genrestream", *arguments],
        env={**os.environ, **servers, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    "arguments", [("worker",), ("up",), ("lookup", "event", "x"), ("cache", "rebuild")], ids=lambda it: it[0]
)
def test_a_password_that_is_not_escaped_is_not_shown(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """One line that says what to do, and status 1."""
    done = run(tmp_path, *arguments, REDIS_URL=URL)
    complaint = "genrestream: REDIS_URL is no URL; escape special characters of the password\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", complaint)


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["table", "json"])
def test_status_shows_nothing_of_it(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Nor where the state of a stack holds the address."""
    StackState(
        marker="abc",
        directory=str(tmp_path),
        models="/models",
        started_at="2026-01-02T03:04:05+00:00",
        kafka_bootstrap=NOWHERE,
        redis_url=URL,
        triton_url=NOWHERE,
        triton_http_url=None,
        prometheus_url=None,
        servers=(),
    ).save()
    done = run(tmp_path, "status", *options, REDIS_URL="")
    assert done.returncode == 1
    assert "(an address that is no URL)" in done.stdout
    assert SECRET not in done.stdout + done.stderr
