"""What the demo shows: steps, labels as they arrive, a counter, the summary.

Labels arrive faster than people read, so only some of the lines are shown, while the counter knows them all.
What is rare (dead letters, unreadable media, removals) is always shown.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from genrestream.client.labels import Labelled, Removed
from genrestream.client.show import NO_NEWS, dead_letter_line, label_line, print_line, removal_line
from genrestream.demo.journal import Expected, Journal
from genrestream.schemas import DeadLetter

LINES_PER_S = 4.0
COUNT_EVERY_S = 5.0
"""How often the counter is shown where there is no terminal."""


class Screen:
    """Standard output; its very last line is not written here."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._began_s = time.monotonic()
        self._next_line_s = 0.0
        self._next_count_s = 0.0
        self._bar: Progress | None = None

    def step(self, text: str) -> None:
        """One line on how far the demo has come."""
        line = Text(f"{time.monotonic() - self._began_s:6.1f} s  ", "dim").append(text, "not dim")
        print_line(self.console, line)

    def heading(self, text: str) -> None:
        """A line that opens a part."""
        self.console.print()
        self.console.print(text, style="bold", highlight=False, soft_wrap=True)

    @contextmanager
    def counting(self, total: int) -> Iterator[None]:
        """Show a bar of items that have ended, on a terminal."""
        columns = (
            TextColumn("ended"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
        )
        with Progress(
            *columns, console=self.console, transient=True, disable=not self.console.is_terminal
        ) as self._bar:
            self._bar.add_task("", total=total)
            yield
        self._bar = None

    def count(self, journal: Journal) -> None:
        """Bring the counter up to date."""
        ended = journal.published - len(journal.outstanding())
        if self._bar is not None and self.console.is_terminal:
            self._bar.update(
                self._bar.task_ids[0], completed=ended, description=f"of {journal.published} published"
            )
        elif time.monotonic() >= self._next_count_s:
            self._next_count_s = time.monotonic() + COUNT_EVERY_S
            self.step(f"published {journal.published}, labelled {journal.labelled}")

    def show(self, news: Labelled | Removed | DeadLetter, item: Expected, journal: Journal) -> None:
        """Show what came, if it is rare or its turn has come."""
        match news:
            case Labelled():
                unreadable = [g for g in news.record.modalities_missing if g.reason not in NO_NEWS]
                if unreadable or self._has_turn():
                    line = label_line(news.record, news.latency_s, item.name)
                    print_line(self.console, line.append(*_verdict(news, item)))
            case Removed():
                print_line(self.console, removal_line(news.kind, item.name, news.task))
            case DeadLetter():
                print_line(self.console, dead_letter_line(news))
        self.count(journal)

    def _has_turn(self) -> bool:
        now_s = time.monotonic()
        if now_s < self._next_line_s:
            return False
        self._next_line_s = now_s + 1.0 / LINES_PER_S
        return True


def _verdict(news: Labelled, item: Expected) -> tuple[str, str]:
    """Whether the best label is right, and the right ones where it is not."""
    if item.task != news.record.task:
        return "", ""
    if news.record.labels[0].label in item.truth:
        return "  right", "green"
    return f"  is {', '.join(sorted(item.truth))}", "red"
