"""Releases, rollbacks and announcements on a real Triton and Kafka."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from genrestream.ops.stack import local_stack
from genrestream.ops.state import StackState
from genrestream.repository import Repository, RepositoryError, add_candidate
from genrestream.workers.announce import announce_live, heads_elsewhere, read_announcements
from genrestream.workers.errors import KafkaUnavailableError
from genrestream.workers.topics import create_topics
from genrestream.workers.triton_control import ModelServerError, TritonControl

pytestmark = pytest.mark.stack

COMMITTED = Path(__file__).parents[2] / "triton_models"
HEAD = "podcast-genres"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the committed models for this module, which changes what is live."""
    folder = tmp_path_factory.mktemp("releases") / "triton_models"
    shutil.copytree(COMMITTED, folder, ignore=shutil.ignore_patterns(".candidates"))
    return folder


@pytest.fixture(scope="module")
def own_stack(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackState]:
    """Servers of its own: the session's workers must not follow these releases."""
    with local_stack(tmp_path_factory.mktemp("stack"), models) as state:
        create_topics(state.kafka_bootstrap)
        yield state


def train_again(models: Path, run: str) -> None:
    """A candidate with the files of version 1, as if it had been trained now."""
    repository = Repository(models)
    folder = repository.version_dir(HEAD, 1)
    files = {path.name: path for path in folder.iterdir() if path.name != "release.json"}
    record = repository.release(HEAD, 1).model_copy(update={"created_at": datetime.now(UTC)})
    add_candidate(models, run, files, record)


def command(stack: StackState, *arguments: str, **instead: str) -> subprocess.CompletedProcess[str]:
    """`genrestream` as a user runs it, with other addresses `instead`."""
    return subprocess.run(
        [sys.executable, "-m", "genrestream", *arguments],
        env=os.environ | stack.environment() | instead,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def live_versions(stack: StackState) -> dict[str, int]:
    """By task's key, the version of the newest announcement."""
    return {
        f"{found.announcement.release.kind}-{found.announcement.release.task}": (
            found.announcement.release.version
        )
        for found in await read_announcements(stack.kafka_bootstrap)
    }


async def test_release_and_rollback_on_servers(own_stack, models):
    """At the start what is live is loaded and announced, once. A release makes version 2 ready in Triton and
    announces it; a rollback announces version 1 again with a higher sequence number; both versions stay
    ready; `releases` shows what Kafka says."""
    first = await announce_live(models, own_stack.kafka_bootstrap, own_stack.triton_url)
    assert sorted(found.announcement.release.model for found in first) == [
        "event-genres",
        "podcast-genres",
        "track-genres",
    ]
    assert await announce_live(models, own_stack.kafka_bootstrap, own_stack.triton_url) == []

    train_again(models, "second")
    released = command(own_stack, "release", "--force", "--models", str(models), "--json")
    assert released.returncode == 0, released.stderr
    assert json.loads(released.stdout) == {
        "kind": "podcast",
        "task": "genres",
        "model": HEAD,
        "version": 2,
        "announced": True,
        "report": None,
    }
    assert (await live_versions(own_stack))[HEAD] == 2
    listed = json.loads(command(own_stack, "releases", "--models", str(models), "--json").stdout)
    assert listed["source"] == "kafka"
    assert [(row["version"], row["live"]) for row in listed["releases"] if row["kind"] == "podcast"] == [
        (1, False),
        (2, True),
    ]

    rolled_back = command(own_stack, "rollback", HEAD, "--models", str(models))
    assert rolled_back.stdout == "rolled back to podcast-genres version 1 and announced\n", rolled_back.stderr
    announcements = [
        found
        for found in await read_announcements(own_stack.kafka_bootstrap)
        if found.announcement.release.model == HEAD
    ]
    assert [
        (found.announcement.release.version, str(found.announcement.action)) for found in announcements
    ] == [(1, "release"), (2, "release"), (1, "rollback")]
    assert announcements[0].sequence < announcements[1].sequence < announcements[2].sequence
    async with TritonControl(own_stack.triton_url) as triton:
        await triton.load(HEAD, 1, 2)
    # The pointer says the same as Kafka, so that the next start announces nothing.
    assert await announce_live(models, own_stack.kafka_bootstrap, own_stack.triton_url) == []


async def test_an_offline_release_is_announced_at_the_next_start(own_stack, models):
    """Kafka hears of it when the stack comes up, and of nothing else."""
    await announce_live(models, own_stack.kafka_bootstrap, own_stack.triton_url)
    before = (await live_versions(own_stack))[HEAD]
    train_again(models, "offline")
    released = command(own_stack, "release", "--force", "--offline", "--models", str(models))
    assert released.returncode == 0, released.stderr
    assert (await live_versions(own_stack))[HEAD] == before
    announced = await announce_live(models, own_stack.kafka_bootstrap, own_stack.triton_url)
    assert [found.announcement.release.model for found in announced] == [HEAD]
    assert (await live_versions(own_stack))[HEAD] == announced[0].announcement.release.version != before


async def test_a_retired_head_is_out_of_service_until_it_is_rolled_back_to(own_stack, models):
    """Kafka and the folder both forget it, its versions stay, and retiring it twice is an error."""
    head = "event-genres"
    await announce_live(models, own_stack.kafka_bootstrap, own_stack.triton_url)
    done = command(own_stack, "retire", head, "--models", str(models))
    assert (done.stdout, done.returncode) == ("event-genres is out of service\n", 0), done.stderr
    assert head not in await live_versions(own_stack)
    assert await announce_live(models, own_stack.kafka_bootstrap, own_stack.triton_url) == []
    again = command(own_stack, "retire", head, "--models", str(models))
    assert (again.stderr, again.returncode) == ("genrestream: event-genres is not in service\n", 1)
    back = command(own_stack, "rollback", head, "--to", "1", "--models", str(models))
    assert back.stdout == "rolled back to event-genres version 1 and announced\n", back.stderr
    assert (await live_versions(own_stack))[head] == 1


async def test_heads_of_another_repository_are_named_and_can_be_retired(own_stack, models, tmp_path):
    """Whoever starts a stack with other models learns what its Kafka still waits for."""
    await announce_live(models, own_stack.kafka_bootstrap, own_stack.triton_url)
    other = tmp_path / "triton_models"
    shutil.copytree(models, other)
    (other / "track-genres" / "live.json").unlink()
    assert await heads_elsewhere(other, own_stack.kafka_bootstrap) == ["track-genres"]
    assert command(own_stack, "retire", "track-genres", "--models", str(other)).returncode == 0
    assert await heads_elsewhere(other, own_stack.kafka_bootstrap) == []


@pytest.mark.parametrize("server", ["TRITON_URL", "KAFKA_BOOTSTRAP"])
def test_a_release_without_a_server_is_one_line(own_stack, models, server):
    """Nothing answers there: exit status 1, the address is named, and no version was made."""
    train_again(models, f"no-{server.partition('_')[0].lower()}")
    versions = Repository(models).versions(HEAD)
    done = command(own_stack, "release", HEAD, "--force", "--models", str(models), **{server: "127.0.0.1:9"})
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "127.0.0.1:9" in done.stderr
    assert Repository(models).versions(HEAD) == versions


@pytest.mark.parametrize("model", ["text-starter", "podcast-genres"])
async def test_what_was_changed_is_not_loaded(own_stack, models, tmp_path, model):
    """A graph that is not the one released, encoder or head, never reaches Triton."""
    other = tmp_path / "triton_models"
    shutil.copytree(models, other)
    graph = other / model / str(Repository(other).versions(model)[-1]) / "model.onnx"
    graph.write_bytes(graph.read_bytes() + b"\0")
    with pytest.raises(RepositoryError, match=r"model\.onnx is not the file that its record describes"):
        await announce_live(other, own_stack.kafka_bootstrap, own_stack.triton_url)


async def test_a_model_that_triton_cannot_load_is_one_line(own_stack):
    """The model's name, the address and Triton's reason."""
    async with TritonControl(own_stack.triton_url) as triton:
        with pytest.raises(ModelServerError, match=r"cannot load no-such-model: .*") as error:
            await triton.load("no-such-model", 1)
    assert "\n" not in str(error.value)


async def test_what_is_not_there_is_one_line(tmp_path):
    """No repository, no Triton, no Kafka: each has its own error."""
    with pytest.raises(RepositoryError, match="no model repository at "):
        await announce_live(tmp_path / "none", "127.0.0.1:9", "127.0.0.1:9")
    with pytest.raises(ModelServerError, match=r"no Triton answers at 127\.0\.0\.1:9"):
        await announce_live(COMMITTED, "127.0.0.1:9", "127.0.0.1:9")
    with pytest.raises(KafkaUnavailableError, match=r"127\.0\.0\.1:9"):
        await read_announcements("127.0.0.1:9")
