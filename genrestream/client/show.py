"""Records as lines for people: one label record, one removal, one dead letter a line.

What comes from outside (ids, titles, messages) is shown without control characters: a scraped title must not
be able to move the cursor.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from genrestream.schemas import DeadLetter, Kind, LabelRecord, MissingReason
from genrestream.schemas.items import Modality

if TYPE_CHECKING:
    from genrestream.client.letters import Filed

MAX_LABELS = 3
NAME_CHARS = 28
NO_NEWS = frozenset({MissingReason.ABSENT, MissingReason.NOT_IN_MODEL})
"""Why a modality is missing as a matter of course: what is shown are those that could not be read."""
_KIND_STYLE = {Kind.EVENT: "magenta", Kind.PODCAST: "cyan", Kind.TRACK: "yellow"}


def print_line(console: Console, line: Text) -> None:
    """Print one line, cut at the width of a terminal; elsewhere it is whole."""
    if console.is_terminal:
        console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
    else:
        console.print(line, soft_wrap=True)


def printable(text: str, width: int) -> str:
    """`text` on one line, at most `width` characters, control characters as `?`."""
    shown = "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text[: width + 1])
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def label_line(record: LabelRecord, latency_s: float | None, name: str | None = None) -> Text:
    """Kind, item, latency, labels with confidences, modalities used and missing, task.

    `name` stands for the item's id when given.
    """
    sure = record.decision == "labelled"
    shown = record.labels[:MAX_LABELS] if sure else record.labels[:1]
    labels = ", ".join(f"{printable(found.label, 24)} {found.confidence:.2f}" for found in shown)
    more = f" +{len(record.labels) - len(shown)}" if sure and len(record.labels) > len(shown) else ""
    line = Text()
    line.append(f"{record.kind:<8}", _KIND_STYLE[record.kind])
    line.append(f"{_column(name or record.id)} ")
    line.append(f"{_duration(latency_s):>7}  ", "dim")
    line.append(f"{labels + more:<30} ", "bold green" if sure else "yellow")
    line.append(f"{_modalities(record)} ", "")
    line.append(record.task, "dim")
    return line


def _column(text: str) -> str:
    """`text` as a column of `NAME_CHARS` cells; a Japanese character takes two."""
    shown = printable(text, NAME_CHARS)
    if cell_len(shown) > NAME_CHARS:
        shown = set_cell_size(shown, NAME_CHARS - 1) + "…"
    return set_cell_size(shown, NAME_CHARS)


def _modalities(record: LabelRecord) -> str:
    used = "+".join(modality.value for modality in Modality if modality in record.modalities_used)
    missing = [
        f"{gap.modality} {gap.reason}" for gap in record.modalities_missing if gap.reason not in NO_NEWS
    ]
    return f"{used} ({', '.join(missing)})" if missing else used


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{1000 * seconds:.0f} ms" if seconds < 10 else f"{seconds:.0f} s"


def removal_line(kind: str, item_id: str, task: str) -> Text:
    """The line for labels that are gone."""
    line = Text()
    line.append(f"{printable(kind, 8):<8}", "dim")
    line.append(f"{_column(item_id)} ")
    line.append(f"{'':>7}  ")
    line.append(f"{'removed':<30} ", "red")
    line.append(printable(task, 40), "dim")
    return line


def dead_letter_line(letter: "DeadLetter | Filed") -> Text:
    """When, code, where it came from, key, message."""
    line = Text()
    line.append(f"{local_time(letter.at)}  ", "dim")
    line.append(f"{letter.code:<26} ", "red")
    line.append(f"{letter.place!s:<26} ", "dim")
    key = "no key" if letter.key is None else letter.key.decode("utf-8", "replace")
    line.append(f"{printable(key, 34):<34} ")
    line.append(printable(letter.message, 200))
    return line


def local_time(at: datetime) -> str:
    """The moment as the clock on the wall shows it."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
