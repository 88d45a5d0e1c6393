"""One performance: the live part, then what a recommender would find in Redis."""

import asyncio
import signal
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any

from genrestream.client.kafka_errors import KafkaUnavailableError
from genrestream.demo.bad_items import Planned
from genrestream.demo.errors import DemoError
from genrestream.demo.journal import Journal
from genrestream.demo.play import Play
from genrestream.demo.screen import Screen
from genrestream.demo.stage import Stage
from genrestream.schemas import Kind
from genrestream.workers.cache import RedisCache
from genrestream.workers.errors import CacheUnavailableError

BEST_ITEMS = 3


def perform(ready: Stage, programme: Sequence[Planned], rate_per_s: float, screen: Screen) -> Journal:
    """Publish the programme, show what comes, and give the books.

    Raises:
        DemoError: the worker or a server is gone, or a kind has no live head.
    """
    kinds = {planned.item.kind for planned in programme}
    if unserved := sorted(kind for kind in kinds if not ready.tasks.get(kind)):
        raise DemoError(f"no head is live for {', '.join(unserved)} items: release one first")
    journal = Journal(ready.tasks)
    screen.heading(
        f"Publishing {len(programme)} items, {rate_per_s:g} a second; labels as they arrive (some of them):"
    )
    play = Play(ready.state.kafka_bootstrap, journal, screen, ready.check_worker)
    try:
        _run(play.perform(programme, rate_per_s))
        screen.heading("What a recommender finds in Redis")
        _run(_show_best(ready.state.redis_url, journal, screen))
    except KafkaUnavailableError as error:
        raise DemoError(str(error)) from error
    return journal


def _run(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end; SIGTERM cancels, as Ctrl-C does, instead of raising in the middle of the loop."""
    before = signal.getsignal(signal.SIGTERM)

    async def cancellable() -> None:
        task = asyncio.current_task()
        if task is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await work

    try:
        asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise SystemExit(128 + signal.SIGTERM) from None
    finally:
        signal.signal(signal.SIGTERM, before)


async def _show_best(redis_url: str, journal: Journal, screen: Screen) -> None:
    """The best items of each kind's most frequent label, as `genrestream lookup KIND --label` gives them."""
    cache = RedisCache(redis_url)
    try:
        for kind in Kind:
            best: Counter[tuple[str, str]] = Counter(
                (record.task, record.labels[0].label)
                for (of_kind, _), records in journal.records.items()
                for record in records.values()
                if of_kind is kind
            )
            if not best:
                continue
            task, label = best.most_common(1)[0][0]
            ranked = await cache.top(kind, task, label, BEST_ITEMS)
            names = [
                f"{journal.items[kind, found.item_id].name} {found.confidence:.2f}"
                for found in ranked
                if (kind, found.item_id) in journal.items
            ]
            screen.step(f"the best of {kind} {task} {label}: {', '.join(names)}")
    except CacheUnavailableError as error:
        raise DemoError(str(error)) from error
    finally:
        await cache.close()
