"""Progress bars of long commands."""

import sys
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


def progress_bar(*, shown: bool = True) -> Progress:
    """A bar a step, with the time left; nothing where standard error is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not (shown and sys.stderr.isatty()),
    )


def reporter(bar: Progress, prefix: str = "") -> Callable[[str, int, int], None]:
    """What steps call with their name, how much is done and how much there is."""
    tasks: dict[str, TaskID] = {}

    def report(step: str, done: int, total: int) -> None:
        if step not in tasks:
            tasks[step] = bar.add_task(f"{prefix} {step}".strip(), total=total)
        bar.update(tasks[step], completed=done, total=total)

    return report
