"""Progress of long commands: bars on a terminal, a line now and then elsewhere."""

import sys
from collections.abc import Callable
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

LINE_EVERY_S = 30.0
"""Where standard error is no terminal, as under nohup or torchrun; shorter commands say nothing there."""


def progress_bar(*, shown: bool = True) -> Progress:
    """A bar a step, with the time left; disabled where it is not `shown` or standard error is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, quiet=not shown),
        disable=not (shown and sys.stderr.isatty()),
    )


def reporter(bar: Progress, prefix: str = "") -> Callable[[str, int, int], None]:
    """What steps call with their name, how much is done and how much there is."""
    tasks: dict[str, TaskID] = {}
    said_s = monotonic()

    def report(step: str, done: int, total: int) -> None:
        nonlocal said_s
        described = f"{prefix} {step}".strip()
        if step not in tasks:
            tasks[step] = bar.add_task(described, total=total)
        bar.update(tasks[step], completed=done, total=total)
        if bar.disable and monotonic() - said_s >= LINE_EVERY_S:
            said_s = monotonic()
            bar.console.print(
                f"{described}: {done:,} of {total:,}", markup=False, highlight=False, soft_wrap=True
            )

    return report
