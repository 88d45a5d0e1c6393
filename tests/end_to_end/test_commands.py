"""A wrong command line, a taken port, an unreachable server: one clear line and a non-zero exit."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from genrestream.ops.state import StackState

NOBODY = {
    "KAFKA_BOOTSTRAP": "127.0.0.1:9",
    "REDIS_URL": "redis://127.0.0.1:9/0",
    "TRITON_URL": "127.0.0.1:9",
}


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `genrestream` as a user would."""
    return subprocess.run(
        [sys.executable, "-m", "genrestream", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_one_clear_line(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """The last words are one line by `genrestream`, with these words in it, and no traceback anywhere."""
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("genrestream: ")
    for word in words:
        assert word in last


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("worker", "--http-port", "0"), ("Kafka", "127.0.0.1:9")),
        (("labels",), ("127.0.0.1:9",)),
        (("dead-letters", "list"), ("127.0.0.1:9",)),
        (("lookup", "podcast", "x"), ("127.0.0.1:9",)),
        (("publish", "podcast", "--title", "x"), ("127.0.0.1:9",)),
        (("announce", "--models", "MODELS"), ("127.0.0.1:9",)),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else None,
)
def test_an_unreachable_server_is_named(
    arguments: tuple[str, ...], words: tuple[str, ...], models_dir: Path
) -> None:
    """Claim: every command that needs a server says which one does not answer."""
    given = [str(models_dir) if argument == "MODELS" else argument for argument in arguments]
    assert_one_clear_line(run(NOBODY, *given), *words)


def test_a_taken_port_is_named(stack: StackState, models_dir: Path) -> None:
    """Claim: a worker whose metrics port is taken says so and ends."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(stack.environment(), "worker", "--models", str(models_dir), "--http-port", port)
    assert_one_clear_line(done, port, "metrics and health")


def test_a_session_that_kafka_refuses_is_named(stack: StackState, models_dir: Path) -> None:
    """Claim: a worker that may not join the group says why and ends."""
    environment = {**stack.environment(), "GENRESTREAM_SESSION_TIMEOUT_S": "1"}
    done = run(environment, "worker", "--models", str(models_dir), "--http-port", "0")
    assert_one_clear_line(done, "session")


def test_a_setting_out_of_range_is_named(stack: StackState, models_dir: Path) -> None:
    """Claim: a setting that is no name is refused in one line that names it."""
    done = run(stack.environment(), "worker", "--models", str(models_dir), "--name", "no name")
    assert_one_clear_line(done, "setting name")


@pytest.mark.parametrize(
    "arguments",
    [
        ("classify", "nowhere.jsonl"),
        ("classify", "pyproject.toml", "--models", "nowhere"),
        ("publish", "nowhere.jsonl"),
    ],
)
def test_a_file_that_is_not_there_is_named(arguments: tuple[str, ...]) -> None:
    """Claim: a missing file or folder is one line."""
    assert_one_clear_line(run(NOBODY, *arguments), "nowhere")


@pytest.mark.parametrize(
    ("arguments", "wrong", "command"),
    [
        (("publsih",), "No such command 'publsih'. Did you mean 'publish'?", "genrestream"),
        (("lookup",), "Missing argument 'KIND'. Choose from: event, podcast, track", "genrestream lookup"),
        (
            ("train", "x", "--kind", "film", "--task", "genres"),
            "Invalid value for '--kind': 'film' is not one of 'event', 'podcast', 'track'",
            "genrestream train",
        ),
        (("classify", "x", "--nope"), "No such option: --nope", "genrestream classify"),
    ],
)
def test_a_wrong_command_line_is_one_line(arguments: tuple[str, ...], wrong: str, command: str) -> None:
    """Claim: what is wrong and where the help is, on one line, with status 2."""
    done = run({}, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"genrestream: {wrong} (see `{command} --help`)\n"


def test_a_group_of_commands_alone_shows_its_help() -> None:
    """Claim: half a command line is answered with what may follow, once."""
    done = run({}, "encoders")
    assert done.stdout.count("Usage:") == 1
    assert (done.returncode, done.stderr) == (2, "")
