"""Whether newer versions of dead-lettered items came in, read from the items' own input partitions."""

from collections.abc import Iterable

from aiokafka import TopicPartition

from genrestream.client.letters import Filed, Item
from genrestream.client.partitions import PartitionReader, Progress, silent
from genrestream.schemas.headers import version_offset


class VersionScan:
    """What came after some letters under their keys: one pass a partition for all of them, which goes on."""

    def __init__(self, reader: PartitionReader, letters: Iterable[Filed]) -> None:
        """The letters have keys and come from input topics."""
        self._reader = reader
        self._newest: dict[Item, int] = {}
        self._scanned_to: dict[TopicPartition, int] = {}
        self._begun_at: dict[TopicPartition, int] = {}
        for letter in letters:
            self._newest[_item(letter)] = -1
            part, after = _partition(letter), letter.first_offset + 1
            self._scanned_to[part] = min(self._scanned_to.get(part, after), after)

    async def advance(self, progress: Progress = silent) -> None:
        """Read on to where the partitions end now.

        Raises:
            KafkaUnavailableError: Kafka is away.
        """
        there = await self._reader.there(list(self._scanned_to))
        stretches = {}
        for part, offsets in there.items():
            begin = max(self._scanned_to[part], offsets.start)
            self._begun_at.setdefault(part, begin)
            stretches[part] = range(begin, offsets.stop)
        async for record in self._reader.read(stretches, progress):
            item = (record.topic, record.partition, record.key or b"")
            if item in self._newest:
                self._newest[item] = max(self._newest[item], version_offset(record.headers, record.offset))
        self._scanned_to = {part: offsets.stop for part, offsets in there.items()}

    def has_newer(self, letter: Filed) -> bool:
        """Whether a newer version came before `scanned_to`."""
        return self._newest[_item(letter)] > letter.first_offset

    def is_whole(self, letter: Filed) -> bool:
        """Whether all that came after the letter's item could be read: retention takes the oldest."""
        return self._begun_at[_partition(letter)] <= letter.first_offset + 1

    def scanned_to(self, letter: Filed) -> int:
        """Up to which offset, exclusive, its partition was read."""
        return self._scanned_to[_partition(letter)]


def _item(letter: Filed) -> Item:
    """By the key alone: what was sent under it later is the producer's last word, readable or not."""
    return letter.place.topic, letter.place.partition, letter.key or b""


def _partition(letter: Filed) -> TopicPartition:
    return TopicPartition(letter.place.topic, letter.place.partition)
