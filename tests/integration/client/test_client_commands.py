"""publish, labels and dead-letters as users run them, against the session's real Kafka and Redis."""

import asyncio
import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from genrestream.client.partitions import open_partition_reader
from genrestream.ops.state import StackState
from genrestream.schemas import DeadLetter, DeadLetterCode, Kind, LabelConfidence, Revision
from genrestream.schemas.labels import label_key
from genrestream.schemas.topics import DEAD_LETTERS, INPUT_TOPICS, LABELS, Topic
from genrestream.workers.cache import RedisCache
from genrestream.workers.protocols import CacheOutcome
from tests.unit.test_client_show import AT, record

pytestmark = pytest.mark.stack


def run(
    *arguments: str, environment: dict[str, str], cwd: Path | None = None, given: str = ""
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "genrestream", *arguments],
        env={**os.environ, **environment},
        cwd=cwd,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def kafka(stack: StackState) -> dict[str, str]:
    """Publishing and following need to know Kafka alone."""
    return {"KAFKA_BOOTSTRAP": stack.kafka_bootstrap}


async def messages(bootstrap: str, topic: Topic, keys: set[bytes]) -> dict[bytes, tuple[int, bytes | None]]:
    """The newest partition and value by key."""
    async with open_partition_reader(bootstrap, [topic]) as reader:
        return {m.key: (m.partition, m.value) async for m in reader.topic(topic) if m.key in keys}


def test_a_file_is_published_and_bad_lines_are_passed_over(
    kafka: dict[str, str], stack: StackState, tmp_path: Path
) -> None:
    """Good lines reach their topics under their ids, without labels; bad ones are told, with status 1."""
    lines = [
        '{"kind": "podcast", "id": "file-1", "title": "A", "labels": {"genres": ["X"]}, "group": "g"}',
        "{broken",
        '{"kind": "event", "id": "file-2", "description": "B", "poster": "p.jpg"}',
    ]
    (tmp_path / "items.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "p.jpg").write_bytes(b"picture")
    done = run("publish", "items.jsonl", "--json", environment=kafka, cwd=tmp_path)
    assert done.returncode == 1
    summary = json.loads(done.stdout)
    assert (summary["published"], summary["rejected"]) == (2, 1)
    assert summary["topics"] == {"catalog.podcasts": 1, "catalog.events": 1}
    told = done.stderr.splitlines()
    assert told[0].startswith("line 2: no JSON")
    assert told[-1] == "genrestream: 1 of 3 lines of items.jsonl were not published"
    podcasts = asyncio.run(messages(stack.kafka_bootstrap, INPUT_TOPICS[Kind.PODCAST], {b"file-1"}))
    assert json.loads(podcasts[b"file-1"][1] or b"") == {
        "schema_version": 1,
        "kind": "podcast",
        "id": "file-1",
        "title": "A",
    }
    events = asyncio.run(messages(stack.kafka_bootstrap, INPUT_TOPICS[Kind.EVENT], {b"file-2"}))
    # "picture" in base64.
    assert json.loads(events[b"file-2"][1] or b"")["poster"] == {"data": "cGljdHVyZQ=="}


def test_standard_input_is_a_file_too(kafka: dict[str, str]) -> None:
    """`-` reads items from a pipe, and `--limit` and `--kind` apply."""
    given = '{"id": "pipe-1", "title": "a"}\n{"id": "pipe-2", "title": "b"}\n'
    done = run("publish", "--limit", "1", "-", "--kind", "track", "--json", environment=kafka, given=given)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["topics"] == {"catalog.tracks": 1}


def test_what_a_named_pipe_gives_goes_out_line_by_line(
    kafka: dict[str, str], stack: StackState, tmp_path: Path
) -> None:
    """An item reaches Kafka while the pipe's writer has not yet made the next one."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "genrestream", "publish", str(pipe), "--kind", "track", "--json"]
    with subprocess.Popen(command, env={**os.environ, **kafka}, stdout=subprocess.PIPE) as publisher:
        try:
            # To read as well: opening waits for no reader then, should the publisher have failed.
            with os.fdopen(os.open(pipe, os.O_RDWR), "w") as writer:
                writer.write('{"id": "fifo-1", "title": "a"}\n')
                writer.flush()
                give_up_s = time.monotonic() + 30
                while not asyncio.run(messages(stack.kafka_bootstrap, INPUT_TOPICS[Kind.TRACK], {b"fifo-1"})):
                    assert time.monotonic() < give_up_s, "the first item waits for the second"
                writer.write('{"id": "fifo-2", "title": "b"}\n')
            published, _ = publisher.communicate(timeout=30)
        finally:
            publisher.kill()
    assert json.loads(published)["published"] == 2


def test_an_item_and_its_removal_share_a_partition(kafka: dict[str, str], stack: StackState) -> None:
    """Published from flags, then removed: same partition, higher offset, null value."""
    made = run("publish", "podcast", "--id", "flags-1", "--title", "Deep Space", "--json", environment=kafka)
    gone = run("publish", "remove", "podcast", "flags-1", "--json", environment=kafka)
    first, second = json.loads(made.stdout), json.loads(gone.stdout)
    assert (first["topic"], first["id"]) == ("catalog.podcasts", "flags-1")
    assert second["partition"] == first["partition"]
    assert second["offset"] > first["offset"]
    found = asyncio.run(messages(stack.kafka_bootstrap, INPUT_TOPICS[Kind.PODCAST], {b"flags-1"}))
    assert found[b"flags-1"] == (first["partition"], None)


def test_an_item_without_id_gets_a_new_one(kafka: dict[str, str]) -> None:
    """Two items from the same flags are two items."""
    flags = ("publish", "event", "--title", "Tonight", "--json")
    ids = {json.loads(run(*flags, environment=kafka).stdout)["id"] for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("publish", "absent.jsonl"), "absent.jsonl: No such file or directory"),
        (("publish", "event", "--title", "a", "--poster", "absent.png"), "--poster: no file at absent.png"),
        (("publish", "event"), "nothing to label: give at least one of --title, --description, --poster"),
        (("publish", "track", "--lyrics", "@absent.txt"), "--lyrics: cannot read absent.txt as text"),
        (("publish", "remove", "event", ""), "an id has 1 to 200 printable characters"),
    ],
)
def test_what_cannot_be_published_is_one_line(
    kafka: dict[str, str], arguments: tuple[str, ...], complaint: str
) -> None:
    """Status 1 and one line on standard error."""
    done = run(*arguments, environment=kafka)
    assert done.returncode == 1
    assert done.stderr.startswith(f"genrestream: {complaint}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [("publish", "event", "--title", "a"), ("labels",), ("labels", "--follow"), ("dead-letters", "list")],
)
def test_an_unreachable_broker_is_one_line(arguments: tuple[str, ...]) -> None:
    """Nothing listens on port 1."""
    done = run(*arguments, environment={"KAFKA_BOOTSTRAP": "127.0.0.1:1"})
    assert (done.returncode, done.stderr) == (1, "genrestream: no Kafka broker answers at 127.0.0.1:1\n")


def test_an_unreachable_cache_is_one_line() -> None:
    """The same for Redis."""
    done = run("lookup", "event", "x", environment={"REDIS_URL": "redis://127.0.0.1:1/0"})
    assert done.returncode == 1
    assert done.stderr.startswith("genrestream: redis://127.0.0.1:1/0: Redis: ")
    assert done.stderr.count("\n") == 1


def test_lookups_that_find_nothing_say_so(stack: StackState) -> None:
    """Status 1 and one line, for an item and for a label."""
    environment = {"REDIS_URL": stack.redis_url}
    item = run("lookup", "event", "nobody", environment=environment)
    label = run("lookup", "event", "--label", "Polka", environment=environment)
    assert (item.returncode, item.stderr) == (1, "genrestream: no labels of event 'nobody' in Redis\n")
    complaint = "genrestream: no event in Redis has the label 'Polka' for the task genres\n"
    assert (label.returncode, label.stderr) == (1, complaint)


def test_lookup_finds_what_workers_cached(stack: StackState) -> None:
    """By id the record as it is, by label the ids in falling confidence."""

    async def write() -> None:
        cache = RedisCache(stack.redis_url)
        for number, confidence in enumerate((0.7, 0.9)):
            labels = (LabelConfidence(label="Polka", confidence=confidence),)
            made = record(id=f"cached-{number}", task="looking", labels=labels, revision=Revision(number, 0))
            assert await cache.write(made) == CacheOutcome.WRITTEN
        await cache.close()

    asyncio.run(write())
    environment = {"REDIS_URL": stack.redis_url}
    item = run("lookup", "event", "cached-0", "--json", environment=environment)
    assert json.loads(item.stdout)["labels"] == [{"label": "Polka", "confidence": 0.7}]
    shown = run("lookup", "event", "cached-0", environment=environment)
    assert shown.stdout.split()[:6] == ["event", "cached-0", "30", "ms", "Polka", "0.70"]
    label = run("lookup", "event", "--label", "Polka", "--task", "looking", environment=environment)
    assert label.stdout.splitlines() == ["0.900  cached-1", "0.700  cached-0"]


@pytest.fixture(scope="module")
def written(stack: StackState) -> None:
    """Three label records of tracks, a tombstone, junk, and two dead letters, as workers write them."""

    async def write() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap)
        await producer.start()
        for number in range(3):
            made = record(kind=Kind.TRACK, id=f"read-{number}", task="reading")
            key = label_key(made.kind, made.id, made.task).encode()
            await producer.send_and_wait(LABELS.name, made.model_dump_json().encode(), key)
        await producer.send_and_wait(LABELS.name, None, b"track:read-gone:reading")
        await producer.send_and_wait(LABELS.name, b"junk", b"track:read-junk:reading")
        for number, code in enumerate((DeadLetterCode.NO_CONTENT, DeadLetterCode.UNKNOWN_KIND)):
            at = AT + timedelta(seconds=number)
            letter = DeadLetter(
                code, "told", "catalog.tracks", 0, number, 1, at, b"read-dead-%d" % number, b"{}"
            )
            await producer.send_and_wait(
                DEAD_LETTERS.name, letter.value, letter.key, headers=letter.to_headers()
            )
        await producer.stop()

    asyncio.run(write())


def test_labels_shows_what_is_there_and_ends(kafka: dict[str, str], written: None) -> None:
    """Records and removals of the task as JSON, junk told on standard error, status 0."""
    done = run("labels", "--task", "reading", "--json", environment=kafka)
    assert done.returncode == 0
    found = {line["id"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert set(found) == {"read-0", "read-1", "read-2", "read-gone"}
    assert found["read-gone"] == {"kind": "track", "id": "read-gone", "task": "reading", "removed": True}
    assert found["read-1"]["labels"][0] == {"label": "Techno", "confidence": 0.912}
    assert found["read-1"]["latency_s"] > 0
    assert "cannot read catalog.labels/" in done.stderr


def test_labels_follows_from_the_beginning_up_to_a_limit(kafka: dict[str, str], written: None) -> None:
    """`--follow --from-beginning --limit` ends by itself after so many records."""
    arguments = ("labels", "--follow", "--from-beginning", "--task", "reading", "--limit", "2")
    done = run(*arguments, environment=kafka)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_reader_that_leaves_is_no_error_message(
    kafka: dict[str, str], written: None, form: tuple[str, ...]
) -> None:
    """Writing to a pipe that nobody reads any more, as after `| head`, ends the command quietly."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "genrestream", "labels", "--task", "reading", *form],
        env={**os.environ, **kafka},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    os.close(writing)
    told = [line for line in done.stderr.splitlines() if not line.startswith("cannot read catalog.labels/")]
    assert told == []


def test_dead_letters_are_listed_by_code_newest_last(kafka: dict[str, str], written: None) -> None:
    """Both letters in their order; with `--code` one of them; nothing else by that key."""

    def listed(*options: str) -> list[str]:
        done = run("dead-letters", "list", "--json", *options, environment=kafka)
        assert done.returncode == 0, done.stderr
        letters = [json.loads(line) for line in done.stdout.splitlines()]
        return [letter["code"] for letter in letters if letter["key"].startswith("read-dead")]

    assert listed("--limit", "100000") == ["no_content", "unknown_kind"]
    assert listed("--limit", "100000", "--code", "no_content") == ["no_content"]
