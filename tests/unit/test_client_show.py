"""Label records as lines: what people see of them."""

from datetime import UTC, datetime, timedelta

from rich.cells import cell_len
from rich.console import Console

from genrestream.client.show import dead_letter_line, label_line, print_line, printable
from genrestream.schemas import (
    DeadLetter,
    DeadLetterCode,
    Decision,
    Kind,
    LabelConfidence,
    LabelRecord,
    MissingModality,
    MissingReason,
    Modality,
    ReleaseReference,
)

AT = datetime(2025, 3, 1, 12, 0, tzinfo=UTC)


def record(**changes: object) -> LabelRecord:
    return LabelRecord(
        kind=Kind.EVENT,
        id="e1",
        task="genres",
        labels=(
            LabelConfidence(label="Techno", confidence=0.912),
            LabelConfidence(label="House", confidence=0.4),
        ),
        decision=Decision.LABELLED,
        release=ReleaseReference(model="event-genres", version=1, taxonomy="as-given", taxonomy_version=1),
        modalities_used=(Modality.IMAGE, Modality.TEXT),
        content_hash="0",
        arrived_at=AT,
        labelled_at=AT + timedelta(milliseconds=30),
    ).model_copy(update=changes)


def test_a_line_tells_item_latency_labels_and_modalities() -> None:
    """All of it is there: name, milliseconds, labels with two digits, modalities in their order, task."""
    words = " ".join(label_line(record(), 0.0312, "Warehouse night").plain.split())
    assert words == "event Warehouse night 31 ms Techno 0.91, House 0.40 text+image genres"


def test_an_unsure_label_stands_alone() -> None:
    """Below all thresholds only the best label is shown."""
    plain = label_line(record(decision=Decision.LOW_CONFIDENCE), None).plain
    assert "Techno 0.91" in plain
    assert "House" not in plain


def test_what_could_not_be_read_is_news_what_is_absent_is_not() -> None:
    """A broken picture is told with its reason; a modality that the item never had is not."""
    gaps = (
        MissingModality(modality=Modality.IMAGE, reason=MissingReason.UNREADABLE),
        MissingModality(modality=Modality.AUDIO, reason=MissingReason.ABSENT),
    )
    line = label_line(record(modalities_used=(Modality.TEXT,), modalities_missing=gaps), 0.1)
    assert "text (image unreadable)" in line.plain
    assert "audio" not in line.plain


def test_control_characters_do_not_reach_the_terminal() -> None:
    """An escape sequence in an id is shown as text, line ends as blanks, and the length is bounded."""
    assert printable("a\x1b[31mb\nc\u202ed", 30) == "a?[31mb c?d"
    assert printable("x" * 40, 10) == "x" * 9 + "…"
    assert "\x1b" not in label_line(record(id="\x1b[2J"), 0.1).plain


def test_columns_stand_below_each_other_whatever_the_script() -> None:
    """A Japanese title of 20 characters, 40 cells, is cut so that the latency starts at the same cell."""
    latin = label_line(record(), 0.03, "Techno").plain
    japanese = label_line(record(), 0.03, "テクノの夜" * 4).plain
    assert cell_len(japanese[: japanese.index(" ms")]) == cell_len(latin[: latin.index(" ms")])


def test_a_pipe_gets_whole_lines_a_terminal_cut_ones() -> None:
    """Elsewhere than on a terminal a line is never wrapped or cut; on one it takes one row."""
    letter = DeadLetter(DeadLetterCode.NO_CONTENT, "y" * 150, "catalog.events", 0, 7, 1, AT, b"k", b"")
    line = dead_letter_line(letter)
    pipe, terminal = Console(width=60, force_terminal=False), Console(width=60, force_terminal=True)
    with pipe.capture() as whole:
        print_line(pipe, line)
    with terminal.capture() as cut:
        print_line(terminal, line)
    assert whole.get() == line.plain + "\n"
    assert cut.get().count("\n") == 1
    assert "y" * 100 not in cut.get()
