"""Replaying dead letters: the untouched bytes, key and headers to where they came from, each marked.

The order is publish, wait for Kafka, mark. A kill in between leaves a replay without its mark, and the next
run replays it again: harmless, since both carry the same first offset and so the same revision.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from aiokafka import TopicPartition
from aiokafka.structs import RecordMetadata

from genrestream.client.kafka_errors import KafkaUnavailableError
from genrestream.client.labels import Unreadable, read_dead_letter
from genrestream.client.letters import MAX_KEY_BYTES, Filed, Letters, State
from genrestream.client.partitions import PartitionReader, Progress, silent
from genrestream.client.publisher import Message, Publisher, fits
from genrestream.client.versions import VersionScan
from genrestream.schemas import DeadLetter, DeadLetterReplay
from genrestream.schemas.dead_letters import SAME_AGAIN
from genrestream.schemas.headers import ATTEMPTS, FIRST_OFFSET, SCANNED_TO
from genrestream.schemas.topics import DEAD_LETTER_REPLAYS, DEAD_LETTERS, INPUT_TOPICS, KIND_OF_TOPIC

CHUNK_LETTERS = 100
"""Between two looks for newer versions: what workers have to look at for a replay stays about as short."""
CHUNK_BYTES = 16 * 1024 * 1024
_OWN = {FIRST_OFFSET, SCANNED_TO, ATTEMPTS}


class Refusal(StrEnum):
    """Why a letter is not replayed; the value is for people, the name for programs."""

    REPLAYED = "it was replayed, and no worker has ended it yet"
    ENDED = "its labels or its removal have been published since"
    SUPERSEDED = "a newer version of the item came after it"
    DEAD_AGAIN = "a later dead letter of the same version is the open one"
    SAME_AGAIN = "its code rests on the bytes alone: name it with --code or by its place"
    NO_ITEM = "it has no key of an item, so that it would be rejected again"
    OTHER_TOPIC = "its input topic does not reach so far: it was made anew"
    PAST_GONE = "messages that came after it have left the input topic, perhaps a newer version"
    TOO_LARGE = "with the headers of a replay the input topic would not take it"


_BY_STATE = {
    State.REPLAYED: Refusal.REPLAYED,
    State.ENDED: Refusal.ENDED,
    State.SUPERSEDED: Refusal.SUPERSEDED,
    State.DEAD_AGAIN: Refusal.DEAD_AGAIN,
}

OnEnd = Callable[[Filed, Refusal | None], None]
"""Told of each letter that it was replayed, or why not."""


def refusal_at_sight(letter: Filed, state: State, *, named: bool) -> Refusal | None:
    """Why the letter is not replayed, as far as no input topic has to be read.

    Args:
        letter: a dead letter.
        state: what has become of it.
        named: whether its code or place was named, as opposed to replaying whatever there is.
    """
    if state in _BY_STATE:
        return _BY_STATE[state]
    if letter.code in SAME_AGAIN and not named:
        return Refusal.SAME_AGAIN
    kind = KIND_OF_TOPIC.get(letter.place.topic)
    if kind is None or not letter.key or len(letter.key) > MAX_KEY_BYTES:
        return Refusal.NO_ITEM
    return None if letter.place.partition < INPUT_TOPICS[kind].partitions else Refusal.OTHER_TOPIC


def refusal_by_scan(letter: Filed, scan: VersionScan) -> Refusal | None:
    """Why the letter is not replayed, by what came after it in its input partition."""
    if scan.has_newer(letter):
        return Refusal.SUPERSEDED
    if scan.scanned_to(letter) <= letter.place.offset:
        return Refusal.OTHER_TOPIC
    return None if scan.is_whole(letter) else Refusal.PAST_GONE


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be replayed, and what not and why; oldest first."""

    chosen: list[Filed]
    refused: list[tuple[Filed, Refusal]]
    scan: VersionScan


async def plan_replay(
    reader: PartitionReader, letters: Letters, *, named: bool, progress: Progress = silent
) -> Plan:
    """Decide on every letter. The scan goes on from here when the plan is carried out.

    Raises:
        KafkaUnavailableError: Kafka is away.
    """
    every = letters.oldest_first()
    at_sight = {each.place: refusal_at_sight(each, letters.states[each.place], named=named) for each in every}
    scan = VersionScan(reader, [each for each in every if at_sight[each.place] is None])
    await scan.advance(progress)
    plan = Plan([], [], scan)
    for each in every:
        refusal = at_sight[each.place] or refusal_by_scan(each, scan)
        if refusal is None:
            plan.chosen.append(each)
        else:
            plan.refused.append((each, refusal))
    return plan


async def carry_out(
    chosen: Sequence[Filed],
    scan: VersionScan,
    reader: PartitionReader,
    publisher: Publisher,
    rate_per_s: float,
    on_end: OnEnd,
) -> None:
    """Replay what was chosen, at most `rate_per_s`; what a newer version overtakes meanwhile is refused.

    The scan goes on meanwhile, so that `reader` has to be another one than the scan's.

    Raises:
        KafkaUnavailableError: Kafka is away, or did not take a replay; what was marked stays so.
    """
    pace = _Pace(rate_per_s)
    async for chunk in _chunks(stored_letters(reader, chosen)):
        await scan.advance()
        marks: list[asyncio.Task[Filed]] = []
        try:
            for filed, letter in chunk:
                message = replay_message(letter, scan.scanned_to(filed))
                refusal = refusal_by_scan(filed, scan) or (None if fits(message) else Refusal.TOO_LARGE)
                if refusal is not None:
                    on_end(filed, refusal)
                    continue
                await pace.wait()
                delivery = await publisher.send(message)
                marks.append(asyncio.create_task(_mark(filed, delivery, publisher)))
            for mark in marks:
                on_end(await mark, None)
        finally:
            # After an error nobody waits for the rest.
            for mark in marks:
                mark.cancel()
            await asyncio.gather(*marks, return_exceptions=True)


def replay_message(letter: DeadLetter, scanned_to: int) -> Message:
    """The message that replays a letter whose newer versions were looked for below `scanned_to`."""
    kept = [(name, value) for name, value in letter.headers if name not in _OWN]
    return Message(
        topic=letter.topic,
        key=letter.key or b"",
        value=letter.value,
        headers=(
            *kept,
            (FIRST_OFFSET, b"%d" % letter.first_offset),
            (SCANNED_TO, b"%d" % scanned_to),
            (ATTEMPTS, b"%d" % letter.attempts),
        ),
        # Offsets order versions within a partition only, whatever partitioner the producer had.
        partition=letter.partition,
    )


async def stored_letters(
    reader: PartitionReader, letters: Iterable[Filed]
) -> AsyncIterator[tuple[Filed, DeadLetter]]:
    """The letters whole, in the order of the dead-letter topic.

    Raises:
        KafkaUnavailableError: Kafka is away, or no longer has them.
    """
    sought = {letter.stored: letter for letter in letters}
    stretches: dict[TopicPartition, range] = {}
    for partition in {partition for partition, _ in sought}:
        offsets = [offset for part, offset in sought if part == partition]
        stretches[TopicPartition(DEAD_LETTERS.name, partition)] = range(min(offsets), max(offsets) + 1)
    async for record in reader.read(stretches):
        filed = sought.get((record.partition, record.offset))
        if filed is not None:
            letter = read_dead_letter(record)
            if isinstance(letter, Unreadable):
                raise KafkaUnavailableError(f"the dead letter {filed.place} cannot be read: {letter.reason}")
            yield filed, letter


class _Pace:
    """Lets through so many a second."""

    def __init__(self, rate_per_s: float) -> None:
        self._gap_s = 1 / rate_per_s
        self._next_s = time.monotonic()

    async def wait(self) -> None:
        """Return when the next one may go; time that was not used is not caught up with."""
        await asyncio.sleep(self._next_s - time.monotonic())
        self._next_s = max(self._next_s, time.monotonic()) + self._gap_s


async def _chunks(
    letters: AsyncIterator[tuple[Filed, DeadLetter]],
) -> AsyncIterator[Sequence[tuple[Filed, DeadLetter]]]:
    chunk: list[tuple[Filed, DeadLetter]] = []
    size_bytes = 0
    async for filed, letter in letters:
        chunk.append((filed, letter))
        size_bytes += len(letter.value or b"")
        if len(chunk) >= CHUNK_LETTERS or size_bytes >= CHUNK_BYTES:
            yield chunk
            chunk, size_bytes = [], 0
    if chunk:
        yield chunk


async def _mark(filed: Filed, delivery: Awaitable[RecordMetadata], publisher: Publisher) -> Filed:
    """Mark the letter once Kafka has its replay."""
    stored = await delivery
    mark = DeadLetterReplay(
        topic=filed.place.topic,
        partition=filed.place.partition,
        offset=filed.place.offset,
        first_offset=filed.first_offset,
        replayed_to=stored.offset,
        replayed_at=datetime.now(UTC),
    )
    message = Message(DEAD_LETTER_REPLAYS.name, str(filed.place).encode(), mark.model_dump_json().encode())
    await (await publisher.send(message))
    return filed
