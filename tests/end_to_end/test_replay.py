"""Dead letters are replayed, labelled and gone from the open list; what is stale never wins."""

import asyncio
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from genrestream.cli.addresses import Addresses
from genrestream.client.publisher import Message
from genrestream.ops.worker_process import WorkerProcess
from genrestream.schemas import DeadLetter, DeadLetterCode, Kind
from tests.end_to_end.conftest import StartWorker
from tests.end_to_end.harness import Outside

TEXT = {"title": "Techno all night", "description": "Warehouse rave with acid and strobe lights"}


@pytest.fixture
def item_id() -> str:
    """An id that no other test has."""
    return uuid.uuid4().hex


def event(item_id: str, headers: tuple[tuple[str, bytes], ...] = (), **fields: Any) -> Message:
    """An event's message, with a source of its own."""
    source = ("ce_source", item_id.encode())
    value = json.dumps({"id": item_id, **fields}).encode()
    return Message("catalog.events", item_id.encode(), value, (source, *headers))


async def dead_letters(
    addresses: Addresses, command: str, item_id: str, *options: str
) -> list[dict[str, Any]]:
    """The JSON lines of `genrestream dead-letters` about this item."""
    done = await asyncio.to_thread(
        subprocess.run,
        [
            *(sys.executable, "-m", "genrestream", "dead-letters", command),
            *("--source", item_id, "--json", *options),
        ],
        env={**os.environ, "KAFKA_BOOTSTRAP": addresses.kafka_bootstrap},
        capture_output=True,
        check=True,
        timeout=120,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


async def dies(outside: Outside, message: Message) -> DeadLetter:
    """Publish it; the dead letter that becomes of it."""
    await outside.publish([message])
    name = message.key.decode()
    await outside.until(lambda seen: len(seen.letters[name]) > 0)
    return outside.seen.letters[name][-1]


def superseded(worker: WorkerProcess) -> int:
    """How many events ended so."""
    found = re.search(r'genrestream_items_total\{kind="event",outcome="superseded"\} (\d+)', worker.metrics())
    assert found
    return int(found[1])


async def until_superseded(worker: WorkerProcess, count: int) -> None:
    """Return once so many events have ended so."""
    async with asyncio.timeout(60):
        while await asyncio.to_thread(superseded, worker) < count:
            await asyncio.sleep(0.05)


async def until_cached(outside: Outside, item_id: str, item_offset: int) -> None:
    """Return once Redis has the labels of this version; they come after those of the topic."""
    async with asyncio.timeout(60):
        while (record := (await outside.cached(Kind.EVENT, item_id)).get("genres")) is None or record[
            "revision"
        ][0] != item_offset:
            await asyncio.sleep(0.05)


async def test_what_can_be_labelled_now_is_replayed_and_leaves_the_open_list(
    start_worker: StartWorker, outside: Outside, sample: Path, item_id: str
) -> None:
    """Claim: an event whose poster was missing is open; a replay that still finds none is its second attempt;
    with the poster there it is labelled under its first offset, in topic and Redis, and is open no more.
    """
    start_worker("e2e-a")
    poster = sample / f"{item_id}.jpg"
    letter = await dies(outside, event(item_id, poster=poster.as_uri()))
    assert (letter.code, letter.attempts) == (DeadLetterCode.MEDIA_NOT_FOUND, 1)
    (listed,) = await dead_letters(outside.addresses, "list", item_id)
    assert listed["place"] == str(letter.place)

    assert (await dead_letters(outside.addresses, "replay", item_id, "--yes"))[-1]["replayed"] == 1
    await outside.until(lambda seen: len(seen.letters[item_id]) == 2)
    again = outside.seen.letters[item_id][1]
    assert (again.attempts, again.first_offset, again.value) == (2, letter.offset, letter.value)
    states = await dead_letters(outside.addresses, "list", item_id, "--all")
    assert [line["state"] for line in states] == ["dead_again", "open"]

    shutil.copy(next((sample / "events").rglob("*.jpg")), poster)
    assert (await dead_letters(outside.addresses, "replay", item_id, "--yes"))[-1]["replayed"] == 1
    await outside.until(lambda seen: len(seen.records[item_id]) == 1)
    (record,) = outside.seen.records[item_id]
    assert record.revision is not None
    assert record.revision.item_offset == letter.offset
    await until_cached(outside, item_id, letter.offset)
    assert await dead_letters(outside.addresses, "list", item_id) == []
    states = await dead_letters(outside.addresses, "list", item_id, "--all")
    assert [line["state"] for line in states] == ["ended", "ended"]
    assert (await dead_letters(outside.addresses, "replay", item_id, "--yes"))[-1]["replayed"] == 0


async def test_the_command_refuses_what_was_superseded(
    start_worker: StartWorker, outside: Outside, item_id: str
) -> None:
    """Claim: once a newer version is labelled the letter is not open, and not replayed by its place."""
    start_worker("e2e-a")
    letter = await dies(outside, event(item_id))
    await outside.publish([event(item_id, **TEXT)])
    await outside.until(lambda seen: len(seen.records[item_id]) == 1)
    assert await dead_letters(outside.addresses, "list", item_id) == []
    refused, summary = await dead_letters(outside.addresses, "replay", item_id, str(letter.place), "--yes")
    assert refused["refused"] == "superseded"
    assert summary == {"replayed": 0, "refused": {"superseded": 1}}


async def test_the_worker_ends_a_stale_replay_without_a_label(
    start_worker: StartWorker, outside: Outside, item_id: str
) -> None:
    """Claim: published by hand after a newer version, with or without the header of a scan that ended before
    it, an old item changes neither label topic nor Redis and makes no dead letter; nor does an old removal.
    """
    worker = start_worker("e2e-a")
    before = superseded(worker)
    letter = await dies(outside, event(item_id))
    await outside.publish([event(item_id, **TEXT)])
    await outside.until(lambda seen: len(seen.records[item_id]) == 1)
    newest = outside.seen.records[item_id][0].revision
    assert newest is not None
    await until_cached(outside, item_id, newest.item_offset)
    first = ("genrestream-first-offset", b"%d" % letter.offset)
    scanned = ("genrestream-scanned-to", b"%d" % (letter.offset + 1))
    stale = {"title": "Something else", "description": "A quiet evening of chamber music"}
    await outside.publish(
        [
            event(item_id, (first,), **stale),
            event(item_id, (first, scanned), **stale),
            Message("catalog.events", item_id.encode(), None, (first,)),
        ]
    )
    await until_superseded(worker, before + 3)
    # Whatever else came of them would be on the topics before the label of what is published now.
    await outside.publish([event(f"{item_id}-after", **TEXT)])
    await outside.wait_for([f"{item_id}-after"])
    assert [record.revision for record in outside.seen.records[item_id]] == [newest]
    assert (outside.seen.removed[item_id], len(outside.seen.letters[item_id])) == (0, 1)
    cached = (await outside.cached(Kind.EVENT, item_id))["genres"]
    assert tuple(cached["revision"]) == newest


async def test_a_replay_overtaken_in_flight_loses_too(
    start_worker: StartWorker, outside: Outside, item_id: str
) -> None:
    """Claim: of an old replay and newer versions published together, before and after it, the newest
    version's labels are the last in the topic and those in Redis.
    """
    worker = start_worker("e2e-a")
    before = superseded(worker)
    letter = await dies(outside, event(item_id))
    first = ("genrestream-first-offset", b"%d" % letter.offset)
    await outside.publish(
        [
            event(item_id, (first,), title="Old, and replayed"),
            event(item_id, **TEXT),
            event(item_id, (first,), title="Old, and replayed once more"),
            event(item_id, **TEXT),
        ]
    )
    await outside.until(lambda seen: len(seen.records[item_id]) == 3)
    await until_superseded(worker, before + 1)
    offsets = [record.revision.item_offset for record in outside.seen.records[item_id] if record.revision]
    assert offsets == sorted(set(offsets))
    assert offsets[0] == letter.offset
    await until_cached(outside, item_id, offsets[-1])


async def test_replays_that_fail_again_stop_no_worker(
    start_worker: StartWorker, outside: Outside, item_id: str
) -> None:
    """Claim: with a third of the items dead-lettered, four failing replays of each would make it more than
    the half at which a worker stops, if they counted.
    """
    worker = start_worker("e2e-a")
    dead = [event(f"{item_id}-dead{number}") for number in range(40)]
    good = [event(f"{item_id}-good{number}", **TEXT) for number in range(80)]
    # The good ones first: the limit looks at the items in the order in which they end.
    await outside.publish(good)
    await outside.wait_for([message.key.decode() for message in good])
    await outside.publish(dead)
    await outside.wait_for([message.key.decode() for message in dead])
    letters = [outside.seen.letters[message.key.decode()][0] for message in dead]
    replays = [
        dataclasses.replace(message, headers=(("genrestream-first-offset", b"%d" % letter.offset),))
        for message, letter in zip(dead, letters, strict=True)
    ]
    await outside.publish(replays * 4)
    names = [message.key.decode() for message in dead]
    await outside.until(lambda seen: all(len(seen.letters[name]) == 5 for name in names))
    await outside.publish([event(item_id, **TEXT)])
    await outside.wait_for([item_id])
    assert worker.poll() is None
