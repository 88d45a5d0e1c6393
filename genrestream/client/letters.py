"""An index of the dead letters: each without its bytes, with what has become of its item.

Of the label topic only what concerns items with a letter is kept, and of letters that are not wanted only
which version of which item they are, about 300 bytes each.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from aiokafka import ConsumerRecord
from pydantic import BaseModel, TypeAdapter

from genrestream.client.labels import Unreadable, read_dead_letter
from genrestream.client.partitions import PartitionReader
from genrestream.schemas import DeadLetter, DeadLetterCode, DeadLetterReplay, Kind, Place, Revision
from genrestream.schemas.headers import REVISION
from genrestream.schemas.items import MAX_ID_CHARS
from genrestream.schemas.topics import DEAD_LETTER_REPLAYS, DEAD_LETTERS, KIND_OF_TOPIC, LABELS

MAX_LETTERS = 100_000
"""The newest so many are kept, with at most 2 KB each."""
MAX_KEY_BYTES = 4 * MAX_ID_CHARS
"""No item id is longer in UTF-8; of a longer key this much is kept, for people."""
MAX_SOURCE_CHARS = 200

LETTER_TOPICS = (DEAD_LETTERS, DEAD_LETTER_REPLAYS, LABELS)
"""What has to be read to know the letters and their states."""

Report = Callable[[str, int, int], None]
"""Told what is being read, how much of it is done, and how much there is."""
Tell = Callable[[Unreadable], None]
"""Told what cannot be read."""
Item = tuple[str, int, bytes]
"""Input topic, partition and key: what orders versions among each other."""


class State(StrEnum):
    """What has become of a dead letter."""

    OPEN = "open"
    """Nothing yet."""
    REPLAYED = "replayed"
    """Published again; no worker has ended it yet."""
    ENDED = "ended"
    """The labels of this version, or its removal, are on the label topic."""
    SUPERSEDED = "superseded"
    """A newer version was labelled, removed or dead-lettered."""
    DEAD_AGAIN = "dead_again"
    """The same version became a dead letter once more, which is the open one."""


@dataclass(frozen=True, slots=True)
class Filed:
    """A dead letter without its value and headers, which may be megabytes."""

    at: datetime
    place: Place
    code: DeadLetterCode
    message: str
    attempts: int
    first_offset: int
    """The offset that orders the item's versions."""
    key: bytes | None
    """At most `MAX_KEY_BYTES` and one more."""
    source: str
    """The producer: its `ce_source`, else the topic."""
    value_bytes: int | None
    stored: tuple[int, int]
    """Partition and offset on the dead-letter topic."""

    @property
    def item(self) -> Item | None:
        """Whose version it is; None when nobody can tell."""
        usable = self.key and len(self.key) <= MAX_KEY_BYTES and self.place.topic in KIND_OF_TOPIC
        if not usable or self.code is DeadLetterCode.KEY_MISMATCH:
            return None
        return self.place.topic, self.place.partition, self.key or b""

    @property
    def label_prefix(self) -> bytes | None:
        """The keys of its labels without the task, None when it can have none."""
        item = self.item
        return None if item is None else KIND_OF_TOPIC[item[0]].encode() + b":" + item[2]


def file_letter(letter: DeadLetter, stored: tuple[int, int]) -> Filed:
    """The letter as the index keeps it."""
    source = next((value for name, value in letter.headers if name == "ce_source"), b"")
    return Filed(
        at=letter.at,
        place=letter.place,
        code=letter.code,
        message=letter.message,
        attempts=letter.attempts,
        first_offset=letter.first_offset,
        key=letter.key if letter.key is None else letter.key[: MAX_KEY_BYTES + 1],
        source=source[: 4 * MAX_SOURCE_CHARS].decode("utf-8", "replace")[:MAX_SOURCE_CHARS] or letter.topic,
        value_bytes=None if letter.value is None else len(letter.value),
        stored=stored,
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters; None and empty mean any."""

    code: DeadLetterCode | None = None
    kind: Kind | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    places: frozenset[Place] = frozenset()

    def __call__(self, letter: Filed) -> bool:
        """Whether it is one of them."""
        return (
            self.code in (None, letter.code)
            and self.kind in (None, KIND_OF_TOPIC.get(letter.place.topic))
            and self.source in (None, letter.source)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
            and (not self.places or letter.place in self.places)
        )


@dataclass(slots=True)
class Letters:
    """The wanted letters with their states."""

    found: dict[Place, Filed] = field(default_factory=dict)
    left_out: int = 0
    """Older letters beyond `MAX_LETTERS`."""
    newest: dict[Item, tuple[int, int]] = field(default_factory=dict)
    """Of every item with a letter, wanted or not: the newest version with one, and its latest place."""
    states: dict[Place, State] = field(default_factory=dict)

    def take(self, letter: Filed, *, wanted: bool) -> None:
        """File one; a letter that a crash has doubled counts once."""
        if (item := letter.item) is not None:
            version = (letter.first_offset, letter.place.offset)
            self.newest[item] = max(version, self.newest.get(item, version))
        if wanted:
            self.found[letter.place] = letter
            if len(self.found) >= MAX_LETTERS + MAX_LETTERS // 10:
                self.trim()

    def trim(self) -> None:
        """Keep the newest `MAX_LETTERS`."""
        if len(self.found) > MAX_LETTERS:
            self.left_out += len(self.found) - MAX_LETTERS
            kept = heapq.nlargest(MAX_LETTERS, self.found.values(), key=_age)
            self.found = {letter.place: letter for letter in kept}

    def oldest_first(self, state: State | None = None) -> list[Filed]:
        """Those in the state, or all."""
        chosen = [each for each in self.found.values() if state in (None, self.states[each.place])]
        return sorted(chosen, key=_age)


def _age(letter: Filed) -> tuple[datetime, Place]:
    return letter.at, letter.place


async def read_letters(reader: PartitionReader, wanted: Wanted, report: Report, tell: Tell) -> Letters:
    """The wanted letters, each with its state.

    Raises:
        KafkaUnavailableError: Kafka is away.
    """
    letters = await find_letters(reader, wanted, report, tell)
    marked = await _marked(reader, letters, report, tell)
    settled = await _settled(reader, letters.found.values(), report, tell)
    for letter in letters.found.values():
        letters.states[letter.place] = state_of(
            letter,
            newest=None if letter.item is None else letters.newest[letter.item],
            settled=settled.get(letter.label_prefix or b""),
            marked=letter.place in marked,
        )
    return letters


async def find_letters(reader: PartitionReader, wanted: Wanted, report: Report, tell: Tell) -> Letters:
    """The wanted letters, without their states.

    Raises:
        KafkaUnavailableError: Kafka is away.
    """
    letters = Letters()
    async for record in reader.topic(DEAD_LETTERS, _step(report, "dead letters")):
        read = read_dead_letter(record)
        if isinstance(read, Unreadable):
            tell(read)
        else:
            filed = file_letter(read, (record.partition, record.offset))
            letters.take(filed, wanted=wanted(filed))
    letters.trim()
    return letters


def state_of(letter: Filed, *, newest: tuple[int, int] | None, settled: int | None, marked: bool) -> State:
    """What has become of the letter.

    Args:
        letter: a dead letter.
        newest: of the item's letters, the greatest pair of first offset and offset.
        settled: the item offset of the newest revision on the label topic.
        marked: whether it was replayed.
    """
    if settled is not None and settled >= letter.first_offset:
        return State.ENDED if settled == letter.first_offset else State.SUPERSEDED
    if newest is not None and newest > (letter.first_offset, letter.place.offset):
        return State.DEAD_AGAIN if newest[0] == letter.first_offset else State.SUPERSEDED
    return State.REPLAYED if marked else State.OPEN


async def _marked(reader: PartitionReader, letters: Letters, report: Report, tell: Tell) -> set[Place]:
    marked: set[Place] = set()
    async for record in reader.topic(DEAD_LETTER_REPLAYS, _step(report, "replays")):
        try:
            replay = DeadLetterReplay.model_validate_json(record.value or b"")
        except ValueError as error:
            tell(_unreadable(record, error))
        else:
            place = Place(replay.topic, replay.partition, replay.offset)
            if place in letters.found:
                marked.add(place)
    return marked


async def _settled(
    reader: PartitionReader, letters: Iterable[Filed], report: Report, tell: Tell
) -> dict[bytes, int]:
    """The item offset of the newest revision on the label topic, by the label keys of the letters' items."""
    settled: dict[bytes, int] = defaultdict(lambda: -1)
    prefixes = {letter.label_prefix for letter in letters} - {None}
    if not prefixes:
        return settled
    async for record in reader.topic(LABELS, _step(report, "labels")):
        prefix = (record.key or b"").rpartition(b":")[0]
        if prefix in prefixes:
            try:
                settled[prefix] = max(settled[prefix], _item_offset(record))
            except ValueError as error:
                tell(_unreadable(record, error))
    return settled


class _Revised(BaseModel):
    """All that is needed of a label record, so that newer schemas do no harm."""

    revision: Revision | None = None


_REVISION = TypeAdapter(Revision)


def _item_offset(record: ConsumerRecord) -> int:
    """The item offset of a label record's or a tombstone's revision; -1 where it has none."""
    if record.value is None:
        header = dict(record.headers).get(REVISION)
        return -1 if header is None else _REVISION.validate_json(header).item_offset
    revision = _Revised.model_validate_json(record.value).revision
    return -1 if revision is None else revision.item_offset


def _unreadable(record: ConsumerRecord, error: ValueError) -> Unreadable:
    return Unreadable(record.topic, record.partition, record.offset, str(error).splitlines()[0])


def _step(report: Report, name: str) -> Callable[[int, int], None]:
    return lambda done, total: report(name, done, total)
