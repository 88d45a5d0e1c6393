"""What is published during a drill: new items, newer versions, removals, and messages that are broken."""

import asyncio
import base64
import io
import random
import time
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache

from PIL import Image

from genrestream.client.kafka_errors import KafkaUnavailableError
from genrestream.client.publisher import Message, Publisher, item_message, removal_message
from genrestream.schemas import InlineMedia, Item, Kind, Podcast
from genrestream.schemas.items import Event, Track
from genrestream.schemas.topics import INPUT_TOPICS

TOPIC = INPUT_TOPICS[Kind.PODCAST].name
KINDS = {Kind.PODCAST: 0.85, Kind.EVENT: 0.1, Kind.TRACK: 0.05}
"""How large a part of the new items each kind is."""
RECENT_ITEMS = 200
"""Updates and removals concern one of so many: versions of an item then meet in flight."""
DISTINCT_MEDIA = 6


class What(Enum):
    """What a message does."""

    NEW = auto()
    UPDATE = auto()
    AGAIN = auto()
    """Publishes the newest version as it was: its earlier labels may answer it."""
    REMOVAL = auto()
    BROKEN = auto()


SHARES = {What.NEW: 0.64, What.UPDATE: 0.22, What.AGAIN: 0.1, What.REMOVAL: 0.02, What.BROKEN: 0.02}


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
    recent: list[tuple[Kind, str]] = []
    while True:
        what = draw.choices(tuple(SHARES), tuple(SHARES.values()))[0]
        if what is What.BROKEN:
            yield Message(TOPIC, f"broken-{seed}-{draw.getrandbits(32):x}".encode(), b'{"kind": "podcast"')
        elif what is What.NEW or not recent:
            kind = draw.choices(tuple(KINDS), tuple(KINDS.values()))[0]
            item_id = f"drill-{seed}-{len(versions)}"
            versions[item_id] = 1
            recent.append((kind, item_id))
            del recent[:-RECENT_ITEMS]
            yield item_message(_item(kind, item_id, 1))
        else:
            kind, item_id = draw.choice(recent)
            if what is What.REMOVAL:
                yield removal_message(kind, item_id)
                continue
            versions[item_id] += what is What.UPDATE
            yield item_message(_item(kind, item_id, versions[item_id]))


def _item(kind: Kind, item_id: str, version: int) -> Item:
    title = f"Markets and money {item_id}, version {version}"
    match kind:
        case Kind.EVENT:
            return Event(id=item_id, title=title, poster=InlineMedia(data=_poster(version % DISTINCT_MEDIA)))
        case Kind.TRACK:
            return Track(
                id=item_id, title=title, audio=InlineMedia(data=_recording(version % DISTINCT_MEDIA))
            )
        case Kind.PODCAST:
            text = "Stocks, startups and interest rates, explained by those who were there."
            return Podcast(id=item_id, title=title, description=text)


@cache
def _poster(number: int) -> bytes:
    """A small picture in base64."""
    picture = io.BytesIO()
    Image.linear_gradient("L").resize((160, 240)).rotate(30 * number).save(picture, "JPEG")
    return base64.b64encode(picture.getvalue())


@cache
def _recording(number: int) -> bytes:
    """A second of a tone in base64."""
    recording = io.BytesIO()
    with wave.open(recording, "wb") as file:
        file.setparams((1, 1, 8000, 0, "NONE", ""))
        period = 10 + number
        file.writeframes(bytes(255 * (n % period) // period for n in range(8000)))
    return base64.b64encode(recording.getvalue())
