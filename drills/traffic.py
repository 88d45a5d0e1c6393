"""What is published during a drill: new items, newer versions, removals, and messages that are broken."""

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from genrestream.client.kafka_errors import KafkaUnavailableError
from genrestream.client.publisher import Message, Publisher, item_message, removal_message
from genrestream.schemas import Kind, Podcast
from genrestream.schemas.topics import INPUT_TOPICS

TOPIC = INPUT_TOPICS[Kind.PODCAST].name
UPDATE_SHARE = 0.25
REMOVAL_SHARE = 0.02
BROKEN_SHARE = 0.02
RECENT_ITEMS = 200
"""Updates and removals concern one of so many: versions of an item then meet in flight."""


@dataclass(slots=True)
class Traffic:
    """Publishes until told to stop, at a steady rate, waiting while Kafka is away."""

    bootstrap: str
    rate_per_s: float
    seed: int = 1

    async def run(self, stop: asyncio.Event) -> None:
        """Publish until `stop`; every message is acknowledged or given up when this returns.

        What counts is what the topic then holds: a message whose acknowledgement was lost may be there.
        """
        source = _messages(self.seed)
        async with Publisher(self.bootstrap) as publisher:
            started_s = time.monotonic()
            sent = 0
            deliveries: set[asyncio.Task[None]] = set()
            while not stop.is_set():
                due = round((time.monotonic() - started_s) * self.rate_per_s)
                for _ in range(due - sent):
                    delivery = asyncio.create_task(_deliver(publisher, next(source)))
                    deliveries.add(delivery)
                    delivery.add_done_callback(deliveries.discard)
                sent = max(sent, due)
                await asyncio.sleep(0.01)
            await asyncio.gather(*deliveries)


async def _deliver(publisher: Publisher, message: Message) -> None:
    try:
        await (await publisher.send(message))
    except KafkaUnavailableError:
        return  # Not accepted, as far as is known; the topic says what is.


def _messages(seed: int) -> Iterator[Message]:
    draw = random.Random(seed)  # noqa: S311 - a load that can be repeated, no secret
    versions: dict[str, int] = {}
    recent: list[str] = []
    while True:
        kind = draw.random()
        if recent and kind < REMOVAL_SHARE:
            yield removal_message(Kind.PODCAST, draw.choice(recent))
        elif kind < REMOVAL_SHARE + BROKEN_SHARE:
            yield Message(TOPIC, f"broken-{seed}-{draw.getrandbits(32):x}".encode(), b'{"kind": "podcast"')
        else:
            is_update = bool(recent) and kind < REMOVAL_SHARE + BROKEN_SHARE + UPDATE_SHARE
            item_id = draw.choice(recent) if is_update else f"drill-{seed}-{len(versions)}"
            versions[item_id] = versions.get(item_id, 0) + 1
            recent.append(item_id)
            del recent[:-RECENT_ITEMS]
            yield item_message(
                Podcast(
                    id=item_id,
                    title=f"Markets and money {item_id}, version {versions[item_id]}",
                    description="Stocks, startups and interest rates, explained by those who were there.",
                )
            )
