"""The account of a drill, from what the topics and Redis hold: nothing that anybody remembers."""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from pydantic import TypeAdapter
from redis.asyncio import Redis

from genrestream.schemas import DeadLetter, LabelRecord, Revision
from genrestream.schemas.headers import REVISION
from genrestream.schemas.redis_keys import labels_key
from genrestream.schemas.topics import DEAD_LETTERS, INPUT_TOPICS, KIND_OF_TOPIC, LABELS

TOPICS = (*(topic.name for topic in INPUT_TOPICS.values()), LABELS.name, DEAD_LETTERS.name)
POLL_MS = 200
_REVISION = TypeAdapter(Revision)


@dataclass(frozen=True, slots=True)
class Place:
    """A message of an input topic. All versions of a key share a partition, so the key stands for it."""

    topic: str
    key: bytes
    offset: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """What Kafka says of a message that it accepted."""

    partition: int
    at_s: float
    """Unix seconds."""
    is_removal: bool


@dataclass(slots=True)
class Ends:
    """When (Unix seconds) the results of a message came, by task."""

    labels: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    removals: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    letters: list[float] = field(default_factory=list)

    def times(self) -> list[float]:
        """All of them."""
        return [at for each in (*self.labels.values(), *self.removals.values(), self.letters) for at in each]

    def duplicates(self) -> int:
        """Results that say again what one before them said."""
        groups = [*self.labels.values(), *self.removals.values(), *([self.letters] if self.letters else [])]
        return sum(len(group) - 1 for group in groups)


@dataclass(frozen=True, slots=True)
class Figures:
    """What a drill is judged by; each published message is in just one of the first five."""

    published: int
    labelled: int
    removed: int
    dead_lettered: int
    lost: int
    contradictory: int
    """Messages with a label and a dead letter, or other pairs that exclude each other."""
    stale: int
    """Items of which the topic or Redis ends with anything but the newest version."""
    overtaken: int
    """Messages of the label topic that are older than one before them of the same key."""
    duplicates: int
    longest_stall_s: float
    """The longest time in which something waited in a partition and nothing of it ended."""
    recovery_s: float
    """From the end of a fault until all that was accepted before it had ended; the longest of all faults."""


@dataclass(slots=True)
class Account:
    """What was published, and what came of it."""

    published: dict[Place, Accepted] = field(default_factory=dict)
    ends: dict[Place, Ends] = field(default_factory=lambda: defaultdict(Ends))
    shown: dict[bytes, tuple[Revision, bool]] = field(default_factory=dict)
    """Key of the label topic -> the revision of its last message, and whether that is a tombstone."""
    overtaken: int = 0

    def take(self, record: ConsumerRecord) -> None:
        """Enter a message of any of the topics."""
        at_s = record.timestamp / 1000
        if record.topic == DEAD_LETTERS.name:
            letter = DeadLetter.from_message(record.key, record.value, list(record.headers))
            self.ends[Place(letter.topic, record.key, letter.offset)].letters.append(at_s)
        elif record.topic == LABELS.name:
            self._take_label(record, at_s)
        else:
            place = Place(record.topic, record.key, record.offset)
            self.published[place] = Accepted(record.partition, at_s, record.value is None)

    def _take_label(self, record: ConsumerRecord, at_s: float) -> None:
        kind, _, rest = record.key.decode().partition(":")
        item_id, _, task = rest.rpartition(":")
        if record.value is None:
            revision = _REVISION.validate_json(dict(record.headers)[REVISION])
            place = Place(f"catalog.{kind}s", item_id.encode(), revision.item_offset)
            self.ends[place].removals[task].append(at_s)
        else:
            label = LabelRecord.model_validate_json(record.value)
            if label.source is None or label.revision is None:
                raise ValueError(f"a label record of {label.id} without source and revision")
            revision = label.revision
            place = Place(label.source.topic, item_id.encode(), label.source.offset)
            self.ends[place].labels[task].append(at_s)
        before = self.shown.get(record.key)
        self.overtaken += before is not None and revision < before[0]
        self.shown[record.key] = (revision, record.value is None)

    def open(self) -> list[Place]:
        """Messages that have not ended."""
        return [place for place in self.published if place not in self.ends]

    def newest(self) -> dict[tuple[str, bytes], tuple[Place, bool]]:
        """The newest message of each item that is no dead letter, and whether it is a removal."""
        newest: dict[tuple[str, bytes], tuple[Place, bool]] = {}
        for place, accepted in sorted(self.published.items(), key=lambda entry: entry[0].offset):
            if place not in self.ends or not self.ends[place].letters:
                newest[place.topic, place.key] = (place, accepted.is_removal)
        return newest

    def figures(self, fault_ends_s: Iterable[float], stale: int) -> Figures:
        """The account's result, with the `stale` items that were counted apart."""
        ends = {place: self.ends.get(place, Ends()) for place in self.published}
        kinds = {
            place: (bool(each.labels), bool(each.removals), bool(each.letters))
            for place, each in ends.items()
        }
        return Figures(
            published=len(ends),
            labelled=sum(kind == (True, False, False) for kind in kinds.values()),
            removed=sum(kind == (False, True, False) for kind in kinds.values()),
            dead_lettered=sum(kind == (False, False, True) for kind in kinds.values()),
            lost=sum(not any(kind) for kind in kinds.values()),
            contradictory=sum(sum(kind) > 1 for kind in kinds.values()),
            stale=stale,
            overtaken=self.overtaken,
            duplicates=sum(each.duplicates() for each in ends.values()),
            longest_stall_s=round(self._longest_stall_s(ends), 2),
            recovery_s=round(max((self._recovery_s(ends, at_s) for at_s in fault_ends_s), default=0.0), 2),
        )

    def _longest_stall_s(self, ends: dict[Place, Ends]) -> float:
        steps: dict[tuple[str, int], list[tuple[float, int]]] = defaultdict(list)
        for place, accepted in self.published.items():
            partition = steps[place.topic, accepted.partition]
            partition.append((accepted.at_s, 1))
            partition += [(min(times), -1)] if (times := ends[place].times()) else []
        return max((_standstill_s(sorted(each)) for each in steps.values()), default=0.0)

    def _recovery_s(self, ends: dict[Place, Ends], fault_end_s: float) -> float:
        done = [
            min(each.times())
            for place, each in ends.items()
            if each.times() and self.published[place].at_s < fault_end_s
        ]
        return max(0.0, max(done, default=fault_end_s) - fault_end_s)


def _standstill_s(steps: Sequence[tuple[float, int]]) -> float:
    """The longest time between two ends (-1), or an arrival (1) and an end, while something waited."""
    waiting, since_s, longest_s = 0, 0.0, 0.0
    for at_s, step in steps:
        if step < 0:
            longest_s = max(longest_s, at_s - since_s)
        if step < 0 or waiting <= 0:
            since_s = at_s
        waiting += step
    return longest_s


async def positions(bootstrap: str) -> dict[TopicPartition, int]:
    """Where each partition of all topics ends now: a drill's account begins there."""
    consumer = AIOKafkaConsumer(*TOPICS, bootstrap_servers=bootstrap, group_id=None)
    await consumer.start()
    try:
        return dict(await consumer.end_offsets(list(consumer.assignment())))
    finally:
        await consumer.stop()


async def settle(bootstrap: str, begin: dict[TopicPartition, int], deadline_s: float) -> Account:
    """The account since `begin`, once every message has ended or the deadline has passed."""
    account = Account()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign(list(begin))
        for partition, offset in begin.items():
            consumer.seek(partition, offset)
        give_up_s = time.monotonic() + deadline_s
        quiet = False
        # Once more after the last message has ended: duplicates may still be on their way.
        while time.monotonic() < give_up_s:
            batches = await consumer.getmany(timeout_ms=POLL_MS, max_records=5000)
            for batch in batches.values():
                for record in batch:
                    account.take(record)
            if batches:
                quiet = False
            elif account.published and not account.open() and await _at_end(consumer, begin):
                if quiet:
                    break
                quiet = True
                await asyncio.sleep(1)
        return account
    finally:
        await consumer.stop()


async def _at_end(consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition]) -> bool:
    ends = await consumer.end_offsets(list(partitions))
    return all([await consumer.position(partition) >= end for partition, end in ends.items()])


async def stale_items(account: Account, redis_url: str, tasks: Sequence[str], deadline_s: float) -> list[str]:
    """Items whose last message on the label topic, or whose record in Redis, is not of the newest version.

    Redis follows the topic: it has until the deadline.
    """
    stale = [
        f"{place.key.decode()}: the topic ends with {shown}"
        for place, is_removal in account.newest().values()
        for task in tasks
        if (shown := account.shown.get(_label_key(place, task)))
        and (shown[0].item_offset, shown[1]) != (place.offset, is_removal)
    ]
    waiting = list(account.newest().values())
    give_up_s = time.monotonic() + deadline_s
    async with Redis.from_url(redis_url) as redis:
        while waiting and time.monotonic() < give_up_s:
            waiting = [each for each in waiting if not await _is_cached(redis, *each, tasks)]
            if waiting:
                await asyncio.sleep(0.2)
    return stale + [f"{place.key.decode()}: not the newest in Redis" for place, _ in waiting]


async def _is_cached(redis: Redis, place: Place, is_removal: bool, tasks: Sequence[str]) -> bool:
    key = labels_key(KIND_OF_TOPIC[place.topic], place.key.decode())
    cached = {task.decode(): json.loads(record) for task, record in (await redis.hgetall(key)).items()}
    if is_removal:
        return not cached
    return all(task in cached and cached[task]["revision"][0] == place.offset for task in tasks)


def _label_key(place: Place, task: str) -> bytes:
    return f"{KIND_OF_TOPIC[place.topic]}:{place.key.decode()}:{task}".encode()
