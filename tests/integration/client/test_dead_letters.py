"""`genrestream dead-letters` as users run it, against the session's real Kafka."""

import asyncio
import json
import os
import pty
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import TopicPartition
from kafka.admin import KafkaAdminClient

from genrestream.client.letters import LETTER_TOPICS, Wanted, file_letter, read_letters
from genrestream.client.partitions import open_partition_reader
from genrestream.client.publisher import Message, Publisher
from genrestream.client.replay import Plan, Refusal, carry_out, plan_replay, refusal_by_scan
from genrestream.client.versions import VersionScan
from genrestream.schemas import DeadLetter, DeadLetterCode, DeadLetterReplay
from genrestream.schemas.topics import DEAD_LETTER_REPLAYS, INPUT_TOPICS
from tests.integration.client.conftest import INPUT, Scene
from tests.integration.kafka.conftest import MakeTopic, bootstrap, make_topic
from tests.no_text import send_with_strange_header

__all__ = ["bootstrap", "make_topic"]

pytestmark = pytest.mark.stack

TOPICS = (*LETTER_TOPICS, *INPUT_TOPICS.values())


async def test_open_letters_are_listed_and_grouped(scene: Scene) -> None:
    """Claim: filters by code, kind, source and time; groups count by code and source, with first and last."""
    now = datetime.now(UTC)
    for number, code in enumerate(["media_not_found", "media_not_found", "no_content"]):
        place = await scene.arrive(f"n{number}")
        await scene.die(place, f"n{number}", DeadLetterCode(code), at=now - timedelta(hours=3 - number))
    await scene.die(place._replace(offset=10**9), "other", headers=[("x", b"y")], key=b"\x1b[31mred")
    listed = scene.lines("list")
    assert [line["message"] for line in listed] == ["told of n0", "told of n1", "told of n2", "told of other"]
    assert {line["state"] for line in listed} == {"open"}
    assert len(scene.lines("list", "--code", "no_content")) == 1
    assert len(scene.lines("list", "--kind", "track")) == 0
    assert len(scene.lines("list", "--since", "150m")) == 3
    assert (
        len(scene.lines("list", "--since", "150m", "--until", (now - timedelta(hours=1.5)).isoformat())) == 1
    )
    assert [line["message"] for line in scene.lines("list", "--limit", "1")] == ["told of other"]
    groups = scene.lines("groups")
    assert [(group["code"], group["count"]) for group in groups] == [
        ("media_not_found", 3),
        ("no_content", 1),
    ]
    assert {group["source"] for group in groups} == {scene.source}
    assert groups[0]["first"] == listed[0]["at"]
    assert groups[0]["last"] == listed[3]["at"]
    assert groups[0]["example"]["place"] == listed[3]["place"]
    shown = scene.command("list", "--source", scene.source)
    assert shown.stdout.count(b"\n") == 4
    assert b"\x1b" not in shown.stdout
    assert listed[0]["place"].encode() in shown.stdout


async def test_a_letter_is_shown_whole(scene: Scene) -> None:
    """Claim: text, JSON and raw bytes of one letter, by the place that `list` prints."""
    value = b'{"title": "\x1b[2J", "id": 1}'
    place = await scene.arrive("a", value)
    await scene.die(place, "a", value=value)
    (listed,) = scene.lines("list")
    shown = scene.command("show", listed["place"])
    assert b"Replay once they are, or scrape again." in shown.stdout
    assert b"\x1b" not in shown.stdout
    assert scene.command("show", listed["place"], "--raw").stdout == value
    fields = json.loads(scene.command("show", listed["place"], "--json").stdout)
    assert fields["payload"] == {"text": value.decode()}
    assert {"name": "ce_source", "text": scene.source} in fields["headers"]


async def test_raw_bytes_go_to_no_terminal(scene: Scene) -> None:
    """Claim: with a terminal as its output, `--raw` refuses in one line."""
    place = await scene.arrive("a")
    await scene.die(place, "a", value=b"\x1b[2J")
    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        pytest.skip(f"no terminal can be made here: {error}")
    command = scene.start("show", str(place), "--raw", stdout=theirs)
    _, told = await asyncio.to_thread(command.communicate, None, 60)
    os.close(theirs)
    os.close(ours)
    assert command.returncode == 1
    assert told.startswith(b"genrestream: --raw writes whatever came in")
    assert told.count(b"\n") == 1


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (("show", "catalog.events/3@999999999999"), 1, "no dead letter of catalog.events/3@999999999999"),
        (("replay", "catalog.events/3@999999999999"), 1, "no dead letter of catalog.events/3@999999999999"),
        (("show", "nonsense"), 2, "a place is TOPIC/PARTITION@OFFSET"),
        (("list", "--since", "soon"), 2, "a moment is so long ago"),
        (("replay", "--rate", "0"), 2, "--rate"),
    ],
)
def test_what_is_not_there_is_one_line(
    scene: Scene, arguments: tuple[str, ...], status: int, complaint: str
) -> None:
    """Claim: an unknown place and a wrong option end with one line."""
    done = scene.command(*arguments)
    assert (done.returncode, done.stderr.count(b"\n")) == (status, 1)
    assert complaint in done.stderr.decode()


async def test_states_follow_what_has_been_published(scene: Scene) -> None:
    """Claim: labels and removals of this or a newer version end a letter, those of an older one do not; a
    newer letter of the same item, or of the same version, takes its place.
    """
    places = {}
    for name in ("open", "labelled", "removed", "newer", "older", "twice", "again"):
        places[name] = await scene.arrive(name)
        await scene.die(places[name], name)
    await scene.label("labelled", places["labelled"].offset)
    await scene.remove("removed", places["removed"].offset)
    await scene.label("newer", places["newer"].offset + 1)
    await scene.label("older", places["older"].offset - 1)
    second = await scene.arrive("twice")
    await scene.die(second, "twice", DeadLetterCode.NO_CONTENT)
    first = [("genrestream-first-offset", b"%d" % places["again"].offset)]
    again = await scene.arrive("again", headers=first)
    await scene.die(again, "again", headers=first, attempts=2)
    states = scene.states()
    assert {name: states.pop(str(place)) for name, place in places.items()} == {
        "open": "open",
        "labelled": "ended",
        "removed": "ended",
        "newer": "superseded",
        "older": "open",
        "twice": "superseded",
        "again": "dead_again",
    }
    assert states == {str(second): "open", str(again): "open"}
    assert len(scene.lines("list")) == 4


async def test_a_dry_run_changes_nothing_and_says_what_would_be(scene: Scene) -> None:
    """Claim: without --yes nothing is published; each letter has its verdict."""
    good, pointless = await scene.arrive("good"), await scene.arrive("pointless")
    superseded, gone = await scene.arrive("superseded"), await scene.arrive("gone")
    await scene.arrive("superseded")
    await scene.arrive("gone", None)
    for name, place in (("good", good), ("superseded", superseded), ("gone", gone)):
        await scene.die(place, name)
    await scene.die(pointless, "pointless", DeadLetterCode.INVALID_ITEM)
    *letters, summary = scene.lines("replay")
    assert {line["place"]: line["refused"] for line in letters} == {
        str(good): None,
        str(pointless): "same_again",
        str(superseded): "superseded",
        str(gone): "superseded",
    }
    assert summary == {"would_replay": 1, "refused": {"same_again": 1, "superseded": 2}}
    assert len(await scene.came_in("good")) == 1
    assert set(scene.states().values()) == {"open"}
    *_, named = scene.lines("replay", "--code", "invalid_item")
    assert named["would_replay"] == 1


async def test_a_letter_is_replayed_untouched_and_once(scene: Scene) -> None:
    """Claim: bytes, key, partition and headers are those that came in, with first offset, scan and attempts
    beside them; a second run replays nothing.
    """
    value, headers = b"\x00\xff not json", (("x", b"\xff"), ("x", b""))
    place = await scene.arrive("a", value)
    await scene.die(place, "a", value=value, headers=headers, attempts=1)
    removal = await scene.arrive("gone", None)
    await scene.die(removal, "gone", value=None)
    assert scene.lines("replay", "--yes")[-1] == {"replayed": 2, "refused": {}}
    first, replay = await scene.came_in("a")
    assert (replay.value, replay.partition) == (value, first.partition)
    scanned_to = dict(replay.headers)["genrestream-scanned-to"]
    assert place.offset < int(scanned_to) <= replay.offset
    assert list(replay.headers) == [
        ("ce_source", scene.source.encode()),
        *headers,
        ("genrestream-first-offset", b"%d" % place.offset),
        ("genrestream-scanned-to", scanned_to),
        ("genrestream-attempts", b"1"),
    ]
    assert [record.value for record in await scene.came_in("gone")] == [None, None]
    assert scene.states() == {str(place): "replayed", str(removal): "replayed"}
    assert scene.lines("replay", "--yes")[-1] == {"replayed": 0, "refused": {"replayed": 2}}
    assert len(await scene.came_in("a")) == 2
    by_place = scene.command("replay", str(place), "--yes").stdout.decode()
    assert by_place.startswith("refuse")
    assert Refusal.REPLAYED in by_place


async def test_a_letter_that_was_a_replay_keeps_its_first_offset(scene: Scene) -> None:
    """Claim: the second replay of an item still carries the offset that it had first, and both attempts."""
    first = await scene.arrive("a")
    await scene.die(first, "a")
    history = [("genrestream-first-offset", b"%d" % first.offset), ("genrestream-attempts", b"1")]
    again = await scene.arrive("a", headers=history)
    await scene.die(again, "a", headers=history, attempts=2)
    assert scene.lines("replay", "--yes")[-1] == {"replayed": 1, "refused": {"dead_again": 1}}
    headers = dict((await scene.came_in("a"))[-1].headers)
    assert headers["genrestream-first-offset"] == b"%d" % first.offset
    assert headers["genrestream-attempts"] == b"2"
    newer = await scene.arrive("a")
    await scene.die(newer, "a")
    assert scene.states() == {str(first): "superseded", str(again): "superseded", str(newer): "open"}


async def test_a_kill_in_the_middle_loses_nothing_and_repeats_nothing_marked(scene: Scene) -> None:
    """Claim: after kill -9 between the first replay and the last, the next run replays those without a mark
    and no others, under the same first offsets.
    """
    names = [f"n{number}" for number in range(6)]
    places = {}
    for name in names:
        places[name] = await scene.arrive(name)
        await scene.die(places[name], name)
    slow = scene.start("replay", "--source", scene.source, "--yes", "--rate", "0.01")
    try:
        async with asyncio.timeout(60):
            while "replayed" not in (await asyncio.to_thread(scene.states)).values():
                assert slow.poll() is None
    finally:
        slow.kill()
        slow.wait()
    states = scene.states()
    before = {name: len(await scene.came_in(name)) for name in names}
    assert {"open", "replayed"} == set(states.values())
    marked = {name for name in names if states[str(places[name])] == "replayed"}
    assert scene.lines("replay", "--yes")[-1]["replayed"] == len(names) - len(marked)
    for name in names:
        _, *replays = await scene.came_in(name)
        assert len(replays) + 1 == before[name] + (name not in marked)
        first = b"%d" % places[name].offset
        assert {dict(replay.headers)["genrestream-first-offset"] for replay in replays} == {first}
    assert set(scene.states().values()) == {"replayed"}


async def test_a_replay_without_its_mark_does_not_stand_in_the_way(scene: Scene) -> None:
    """Claim: killed between replay and mark, the letter is replayed once more: its own replay is no newer
    version.
    """
    place = await scene.arrive("a")
    await scene.die(place, "a")
    await scene.arrive("a", headers=[("genrestream-first-offset", b"%d" % place.offset)])
    assert scene.lines("replay", "--yes")[-1] == {"replayed": 1, "refused": {}}


async def planned(scene: Scene, reader) -> Plan:
    """The plan for the scene's letters."""
    letters = await read_letters(reader, Wanted(source=scene.source), lambda *_: None, lambda _: None)
    return await plan_replay(reader, letters, named=False)


async def test_what_is_overtaken_between_plan_and_replay_is_refused(scene: Scene) -> None:
    """Claim: a newer version that comes after the plan is seen before the letter is published."""
    stays, overtaken = await scene.arrive("stays"), await scene.arrive("overtaken")
    await scene.die(stays, "stays")
    await scene.die(overtaken, "overtaken")
    ended = {}
    async with (
        open_partition_reader(scene.bootstrap, TOPICS) as reader,
        open_partition_reader(scene.bootstrap, TOPICS) as stored,
        Publisher(scene.bootstrap) as publisher,
    ):
        plan = await planned(scene, reader)
        assert len(plan.chosen) == 2
        await scene.arrive("overtaken")
        await carry_out(
            plan.chosen,
            plan.scan,
            stored,
            publisher,
            1000,
            lambda f, refusal: ended.update({f.place: refusal}),
        )
    assert ended == {stays: None, overtaken: Refusal.SUPERSEDED}
    assert len(await scene.came_in("overtaken")) == 2


async def test_a_strangers_header_does_not_stop_a_replay(scene: Scene) -> None:
    """Claim: what came after the item is looked through whatever bytes its headers' names are."""
    await scene.die(await scene.arrive("a"), "a")
    send_with_strange_header(scene.bootstrap, INPUT.name, scene.key("b"), b"{}", scene.partition)
    *_, summary = scene.lines("replay", "--yes")
    assert summary == {"replayed": 1, "refused": {}}


async def test_a_letter_too_large_for_the_headers_of_a_replay_is_refused(scene: Scene) -> None:
    """Claim: what Kafka would refuse is said before it is sent."""
    value = b"x" * (INPUT.max_message_bytes - 1000)
    place = await scene.arrive("large", value)
    await scene.die(place, "large", DeadLetterCode.OVERSIZED_MESSAGE, value=value)
    *_, summary = scene.lines("replay", "--code", "oversized_message", "--yes")
    assert summary == {"replayed": 0, "refused": {"too_large": 1}}


async def test_without_its_past_a_letter_is_not_replayed(scene: Scene, make_topic: MakeTopic) -> None:
    """Claim: where retention took what came after the item, or the topic was made anew, it is refused; where
    only what came before it is gone, it is not.
    """
    topic = make_topic()

    def at(offset: int):
        letter = DeadLetter(
            *(
                DeadLetterCode.MEDIA_TIMEOUT,
                "m",
                topic,
                0,
                offset,
                1,
                datetime.now(UTC),
                b"k%d" % offset,
                b"{}",
            )
        )
        return file_letter(letter, (0, 0))

    async with Publisher(scene.bootstrap) as publisher:
        for number in range(6):
            await (await publisher.send(Message(topic, b"k%d" % number, b"{}")))
    admin = KafkaAdminClient(bootstrap_servers=scene.bootstrap)
    try:
        admin.delete_records({TopicPartition(topic, 0): 3})
    finally:
        admin.close()
    letters = [at(1), at(2), at(5), at(6)]
    async with open_partition_reader(scene.bootstrap, []) as reader:
        scan = VersionScan(reader, letters)
        await scan.advance()
    assert [refusal_by_scan(letter, scan) for letter in letters] == [
        Refusal.PAST_GONE,
        None,
        None,
        Refusal.OTHER_TOPIC,
    ]


async def test_marks_are_what_their_schema_says(scene: Scene) -> None:
    """Claim: the mark's key is the letter's place, its value says where the replay stands."""
    place = await scene.arrive("a")
    await scene.die(place, "a")
    scene.lines("replay", "--yes")
    async with open_partition_reader(scene.bootstrap, [DEAD_LETTER_REPLAYS]) as reader:
        records = [record async for record in reader.topic(DEAD_LETTER_REPLAYS)]
    (mark,) = [record for record in records if record.key == str(place).encode()]
    replay = DeadLetterReplay.model_validate_json(mark.value)
    assert (replay.topic, replay.partition, replay.offset, replay.first_offset) == (*place, place.offset)
    assert replay.replayed_to == (await scene.came_in("a"))[-1].offset
