"""The live part: publishing at a steady rate while following what comes out."""

import asyncio
import time
from collections.abc import Callable, Sequence

from aiokafka import ConsumerRecord

from genrestream.client.follow import Follower, Start, open_follower
from genrestream.client.labels import Labelled, Removed, Unreadable, read_dead_letter, read_label
from genrestream.client.publisher import Publisher, removal_message
from genrestream.demo.bad_items import Planned
from genrestream.demo.errors import DemoError
from genrestream.demo.journal import Expected, Journal
from genrestream.demo.screen import Screen
from genrestream.schemas import DeadLetter
from genrestream.schemas.topics import DEAD_LETTERS, LABELS

STALL_S = 60.0
"""Without any news for so long, what is outstanding counts as lost."""
_LOOK_EVERY_S = 0.2


class Play:
    """One performance of a programme."""

    def __init__(
        self, bootstrap: str, journal: Journal, screen: Screen, check_workers: Callable[[], None]
    ) -> None:
        """`check_workers` raises `DemoError` when one of them is gone."""
        self._bootstrap = bootstrap
        self._journal = journal
        self._screen = screen
        self._check_workers = check_workers
        self._last_news_s = time.monotonic()
        self._following: asyncio.Task[None] | None = None

    async def perform(self, programme: Sequence[Planned], rate_per_s: float) -> None:
        """Publish everything, remove one labelled item at the end, and wait until all has ended.

        Raises:
            DemoError: a worker is gone.
            KafkaUnavailableError: the broker is gone.
        """
        topics = (LABELS.name, DEAD_LETTERS.name)
        with self._screen.counting(len(programme)):
            async with (
                open_follower(self._bootstrap, topics, Start.END) as follower,
                Publisher(self._bootstrap) as publisher,
            ):
                self._following = asyncio.create_task(self._follow(follower))
                try:
                    await self._publish(publisher, programme, rate_per_s)
                    await self._until(lambda: not self._journal.outstanding())
                    await self._remove_one(publisher)
                finally:
                    self._following.cancel()
                    await asyncio.gather(self._following, return_exceptions=True)

    async def _publish(self, publisher: Publisher, programme: Sequence[Planned], rate_per_s: float) -> None:
        began_s = time.monotonic()
        for place, planned in enumerate(programme):
            await asyncio.sleep(began_s + place / rate_per_s - time.monotonic())
            self._journal.publish(planned.item)
            await (await publisher.send(planned.message))
            self._screen.count(self._journal)
            self._check()

    async def _remove_one(self, publisher: Publisher) -> None:
        """Take back the last item that was labelled: its labels go from the topic and from Redis."""
        labelled = [item for item in self._journal.items.values() if self._journal.is_labelled(item)]
        if not labelled:
            return
        item: Expected = labelled[-1]
        await (await publisher.send(removal_message(item.kind, item.item_id)))
        await self._until(lambda: self._journal.is_removed(item))
        if not self._journal.is_removed(item):
            raise DemoError(f"{item.item_id} was removed, but its labels are still there")

    async def _until(self, done: Callable[[], bool]) -> None:
        """Return when it is done, or when there has been no news for `STALL_S`."""
        self._last_news_s = time.monotonic()
        while not done() and time.monotonic() - self._last_news_s < STALL_S:
            self._check()
            await asyncio.sleep(_LOOK_EVERY_S)

    def _check(self) -> None:
        """Raise what ended the workers or the reader."""
        self._check_workers()
        if self._following is not None and self._following.done():
            self._following.result()

    async def _follow(self, follower: Follower) -> None:
        async for message in follower.new():
            news = _read(message)
            if isinstance(news, Unreadable):
                raise DemoError(f"cannot read {news.topic}/{news.partition}@{news.offset}: {news.reason}")
            item = self._journal.take(news)
            if item is not None:
                self._last_news_s = time.monotonic()
                self._screen.show(news, item, self._journal)


def _read(message: ConsumerRecord) -> Labelled | Removed | DeadLetter | Unreadable:
    return read_dead_letter(message) if message.topic == DEAD_LETTERS.name else read_label(message)
