"""What came of it: a table for people, one JSON object for programs."""

import json
from collections import Counter
from typing import Any

from rich.console import Console
from rich.table import Table

from genrestream.demo.journal import Journal, percentile
from genrestream.schemas import Kind


def to_json(journal: Journal) -> str:
    """One line: items published, labelled, dead-lettered, lost; latencies in seconds; accuracy by kind."""
    summary: dict[str, Any] = {
        "published": journal.published,
        "labelled": journal.labelled,
        "dead_lettered": journal.dead_lettered,
        "lost": len(journal.outstanding()),
        "p50_s": _rounded(percentile(journal.latencies_s, 0.50)),
        "p99_s": _rounded(percentile(journal.latencies_s, 0.99)),
        "top1": {kind.value: _rounded(journal.top1(kind)) for kind in Kind},
    }
    return json.dumps(summary)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def print_summary(console: Console, journal: Journal) -> None:
    """The tables."""
    kinds = Table("kind", box=None, pad_edge=False, title="By kind", title_justify="left", title_style="bold")
    for title in ("published", "labelled", "best label right"):
        kinds.add_column(title, justify="right")
    labelled = Counter(item.kind for item in journal.items.values() if journal.is_labelled(item))
    published = Counter(item.kind for item in journal.items.values())
    for kind in Kind:
        share = journal.top1(kind)
        right = "-" if share is None else f"{100 * share:.1f} % of {journal.judged(kind)}"
        kinds.add_row(kind.value, str(published[kind]), str(labelled[kind]), right)
    console.print(kinds)

    rows = [("dead letters", code, count) for code, count in sorted(journal.codes().items())]
    rows += [
        (f"{modality} missing", reason, n) for (modality, reason), n in sorted(journal.missing().items())
    ]
    if rows:
        troubles = Table("", "why", box=None, pad_edge=False, title="Bad input", title_justify="left")
        troubles.title_style = "bold"
        troubles.add_column("items", justify="right")
        for what, why, count in rows:
            troubles.add_row(what, why, str(count))
        console.print()
        console.print(troubles)
    console.print()
    median, slow = percentile(journal.latencies_s, 0.5), percentile(journal.latencies_s, 0.99)
    if median is not None and slow is not None:
        console.print(
            f"From item to label: half within {1000 * median:.0f} ms, 99 % within {1000 * slow:.0f} ms.",
            highlight=False,
        )
    lost = journal.outstanding()
    if lost:
        some = ", ".join(item.item_id for item in lost[:5])
        console.print(f"LOST: {len(lost)} items, such as {some}", style="bold red", highlight=False)
