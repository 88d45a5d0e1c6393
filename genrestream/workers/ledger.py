"""What may be committed: of each partition, the contiguous prefix of finished messages.

Kafka keeps one number a partition, so a message that finishes early has to wait for those before it;
committing past a gap would lose the unfinished ones at the next crash.
"""

import time
from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Message = TypeVar("Message")


@dataclass(slots=True)
class Entry(Generic[Message]):
    """A message between its arrival and its acknowledgement."""

    partition: Hashable
    message: Message
    started_s: float = field(default_factory=time.monotonic)
    finished: bool = False


class Ledger(Generic[Message]):
    """Messages in flight, in their partition's order. Not thread-safe: it lives on the event loop.

    Its length is bounded by the callers, who open an entry only after `has_room`.
    """

    def __init__(self, limit_per_partition: int) -> None:
        self._limit = limit_per_partition
        self._partitions: dict[Hashable, deque[Entry[Message]]] = {}

    def has_room(self, partition: Hashable) -> bool:
        """Whether the partition may take one more message ahead of its oldest unfinished one."""
        return len(self._partitions.get(partition, ())) < self._limit

    def open(self, partition: Hashable, message: Message) -> Entry[Message]:
        """Take in a message; messages of one partition are opened in the order of their offsets."""
        entry = Entry(partition, message)
        self._partitions.setdefault(partition, deque()).append(entry)
        return entry

    def finish(self, entry: Entry[Message]) -> list[Message]:
        """Mark the message as done; return what may be acknowledged now, in order, perhaps nothing."""
        entry.finished = True
        entries = self._partitions.get(entry.partition)
        ready: list[Message] = []
        while entries and entries[0].finished:
            ready.append(entries.popleft().message)
        return ready

    def forget(self, partitions: Iterable[Hashable]) -> None:
        """Drop partitions that were taken away: another worker reads them from the last commit on.

        Messages of theirs that finish later are acknowledged to nobody.
        """
        for partition in partitions:
            self._partitions.pop(partition, None)

    @property
    def in_flight(self) -> int:
        """Messages that are opened and not finished."""
        return sum(not entry.finished for entries in self._partitions.values() for entry in entries)

    def oldest_age_s(self) -> float:
        """Seconds since the oldest unacknowledged message arrived; 0 when there is none."""
        heads = [entries[0].started_s for entries in self._partitions.values() if entries]
        return time.monotonic() - min(heads) if heads else 0.0
