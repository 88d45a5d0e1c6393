"""Publishing, and reading everything that comes of it, on the session's real servers."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import ConsumerRecord
from redis.asyncio import Redis

from genrestream.cli.addresses import Addresses
from genrestream.client.follow import Start, open_follower
from genrestream.client.publisher import Message, Publisher
from genrestream.schemas import DeadLetter, Kind, LabelRecord
from genrestream.schemas.redis_keys import labels_key
from genrestream.schemas.topics import DEAD_LETTERS, LABELS


@dataclass(slots=True)
class Seen:
    """What has come out of the workers so far, by item id."""

    records: dict[str, list[LabelRecord]] = field(default_factory=lambda: defaultdict(list))
    removed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    letters: dict[str, list[DeadLetter]] = field(default_factory=lambda: defaultdict(list))

    def ended(self, item_id: str) -> bool:
        """Whether the item has labels, was removed, or is a dead letter."""
        return bool(self.records.get(item_id) or self.removed.get(item_id) or self.letters.get(item_id))

    def take(self, message: ConsumerRecord) -> None:
        """Sort in one message of the label topic or the dead-letter topic."""
        if message.topic == DEAD_LETTERS.name:
            letter = DeadLetter.from_message(message.key, message.value, list(message.headers))
            self.letters[(letter.key or b"").decode()].append(letter)
        elif message.value is None:
            self.removed[message.key.decode().split(":")[1]] += 1
        else:
            record = LabelRecord.model_validate_json(message.value)
            self.records[record.id].append(record)


class Outside:
    """What ingest teams and recommenders can do: publish, and read labels, dead letters and the cache."""

    def __init__(self, addresses: Addresses) -> None:
        self.addresses = addresses
        self.seen = Seen()

    async def publish(self, messages: Sequence[Message], pause_s: float = 0.0) -> None:
        """Return once Kafka has all of them."""
        async with Publisher(self.addresses.kafka_bootstrap) as publisher:
            deliveries = []
            for message in messages:
                deliveries.append(await publisher.send(message))
                if pause_s:
                    await asyncio.sleep(pause_s)
            await asyncio.gather(*deliveries)

    async def follow(self, positioned: asyncio.Event) -> None:
        """Sort in what comes from now on, until cancelled."""
        topics = (LABELS.name, DEAD_LETTERS.name)
        async with open_follower(self.addresses.kafka_bootstrap, topics, Start.END) as follower:
            positioned.set()
            async for message in follower.new():
                self.seen.take(message)

    async def until(self, condition: Callable[[Seen], bool], deadline_s: float = 120.0) -> None:
        """Return once what has come out satisfies the condition."""
        async with asyncio.timeout(deadline_s):
            while not condition(self.seen):
                await asyncio.sleep(0.05)

    async def wait_for(self, ids: Sequence[str], deadline_s: float = 120.0) -> None:
        """Return once every item has ended; else say which have not."""
        try:
            await self.until(lambda seen: all(seen.ended(item_id) for item_id in ids), deadline_s)
        except TimeoutError:
            lost = [item_id for item_id in ids if not self.seen.ended(item_id)]
            raise AssertionError(f"{len(lost)} of {len(ids)} have not ended, such as {lost[:5]}") from None

    async def cached(self, kind: Kind, item_id: str) -> dict[str, Any]:
        """The item's records in Redis, by task, as a recommender reads them."""
        async with Redis.from_url(self.addresses.redis_url) as redis:
            fields = await redis.hgetall(labels_key(kind, item_id))
        return {name.decode(): json.loads(value) for name, value in fields.items()}

    async def until_cached(
        self,
        kind: Kind,
        item_id: str,
        condition: Callable[[dict[str, Any]], bool] = bool,
        deadline_s: float = 60.0,
    ) -> dict[str, Any]:
        """The item's records in Redis, once they satisfy the condition: Redis follows the label topic."""
        async with asyncio.timeout(deadline_s):
            while not condition(found := await self.cached(kind, item_id)):
                await asyncio.sleep(0.05)
        return found


@asynccontextmanager
async def watching(addresses: Addresses) -> AsyncIterator[Outside]:
    """Somebody outside who sees everything that comes out from now on."""
    outside = Outside(addresses)
    positioned = asyncio.Event()
    following = asyncio.create_task(outside.follow(positioned))
    try:
        async with asyncio.timeout(30):
            await positioned.wait()
        yield outside
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
