"""Publishing a file of items: paced, acknowledged, bounded, with bad lines told and passed over."""

import asyncio
import stat
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

from aiokafka.structs import RecordMetadata
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from genrestream.client.items import BadLine, MediaForm, count_lines, read_items
from genrestream.client.publisher import Publisher, fits, item_message
from genrestream.schemas import Item, Kind

MAX_UNACKNOWLEDGED = 500
"""Items on their way to Kafka; reading waits for the oldest one then."""
READ_AHEAD = 64
"""Lines of a file that are read in one go: to a thread and back for each took five sixths of the time."""
MAX_BAD_LINES_TOLD = 50


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """How a file is published."""

    media: MediaForm = MediaForm.AUTO
    kind: Kind | None = None
    limit: int | None = None
    """Items, good or bad, that are read at most."""
    rate_per_s: float | None = None
    all_scores: bool = False
    force: bool = False


@dataclass(slots=True)
class PublishSummary:
    """What became of a file's lines."""

    published: int = 0
    rejected: int = 0
    topics: Counter[str] = field(default_factory=Counter)
    elapsed_s: float = 0.0

    @property
    def lines(self) -> int:
        """Items read, good or bad."""
        return self.published + self.rejected

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "published": self.published,
            "rejected": self.rejected,
            "topics": dict(self.topics),
            "elapsed_s": round(self.elapsed_s, 3),
        }

    def to_line(self) -> str:
        """For people."""
        where = ", ".join(f"{count} to {topic}" for topic, count in sorted(self.topics.items())) or "nothing"
        rate = self.published / self.elapsed_s if self.elapsed_s else 0.0
        return f"published {where} in {self.elapsed_s:.1f} s ({rate:.0f} items/s)"


async def publish_file(
    source: Path | BinaryIO,
    bootstrap: str,
    options: PublishOptions,
    console: Console,
    security: Mapping[str, Any] | None = None,
) -> PublishSummary:
    """Publish every item of the file; returns once Kafka has acknowledged them all.

    `security` holds aiokafka's arguments of that kind.

    Raises:
        OSError: the file cannot be read.
        KafkaUnavailableError: Kafka cannot be reached, or did not take an item.
    """
    file = source if _is_file(source) else None
    total = count_lines(file) if file else None
    if total is not None and options.limit is not None:
        total = min(total, options.limit)
    summary = PublishSummary()
    lines = islice(read_items(source, media=options.media, kind=options.kind), options.limit)
    read_ahead = READ_AHEAD if file else 1
    async with Publisher(bootstrap, security) as publisher:
        with _progress(console) as progress:
            await _publish(_ahead(lines, read_ahead), publisher, options, summary, _Display(progress, total))
    return summary


def _is_file(source: Path | BinaryIO) -> TypeGuard[Path]:
    """Standard input or a named pipe is read only once, and may be long in giving its next line.

    Raises:
        OSError: nothing is there.
    """
    if not isinstance(source, Path):
        return False
    mode = source.stat().st_mode
    return not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode))


class _Display:
    """The progress bar, and bad lines above it."""

    def __init__(self, progress: Progress, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task("publishing", total=total)
        self._told = 0

    def advance(self) -> None:
        self._progress.advance(self._task)

    def refused(self, text: str) -> None:
        self._told += 1
        self.advance()
        if self._told <= MAX_BAD_LINES_TOLD:
            self._print(text)
        elif self._told == MAX_BAD_LINES_TOLD + 1:
            self._print("more bad lines follow; they are counted, not told")

    def _print(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


async def _ahead(lines: Iterator[Item | BadLine], count: int) -> AsyncIterator[Item | BadLine]:
    """The lines, read by `count` in a thread: reading may have to wait while what was sent goes out."""
    while read := await asyncio.to_thread(list, islice(lines, count)):
        for line in read:
            yield line


async def _publish(
    lines: AsyncIterator[Item | BadLine],
    publisher: Publisher,
    options: PublishOptions,
    summary: PublishSummary,
    display: _Display,
) -> None:
    started = time.monotonic()
    waiting: deque[Awaitable[RecordMetadata]] = deque()

    async def acknowledged() -> None:
        stored = await waiting.popleft()
        summary.published += 1
        summary.topics[stored.topic] += 1
        display.advance()

    sent = 0
    try:
        async for line in lines:
            if isinstance(line, BadLine):
                summary.rejected += 1
                display.refused(f"line {line.number}: {line.message}")
                continue
            message = item_message(line, all_scores=options.all_scores, force=options.force)
            if not fits(message):
                summary.rejected += 1
                display.refused(f"{line.id}: {len(message.value or b'')} bytes are more than a topic takes")
                continue
            if options.rate_per_s is not None:
                # Against the schedule, not the last item, so that a late one does not lower the rate.
                await asyncio.sleep(started + sent / options.rate_per_s - time.monotonic())
            waiting.append(await publisher.send(message))
            sent += 1
            while len(waiting) >= MAX_UNACKNOWLEDGED:
                await acknowledged()
        while waiting:
            await acknowledged()
    finally:
        # After an error nobody waits for the rest.
        for delivery in waiting:
            asyncio.ensure_future(delivery).cancel()
        summary.elapsed_s = time.monotonic() - started


def _progress(console: Console) -> Progress:
    """A bar on a terminal, nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
