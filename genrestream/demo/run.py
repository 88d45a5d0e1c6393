"""The demo's command line: what is asked for, what is shown in the end."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from genrestream.demo.errors import DemoError
from genrestream.demo.journal import Journal
from genrestream.demo.sample_demo import ITEMS_PER_KIND, play_sample
from genrestream.demo.screen import Screen
from genrestream.demo.summary import print_summary, to_json


def run() -> int:
    """The exit status: 0 when every item came to its end, 1 when some were lost or the demo failed."""
    given = _arguments()
    console = Console(highlight=False)
    try:
        if given.json is not None:
            _write(given.json, "")  # now, not after minutes, is the time to hear that it cannot be
        journal = _play(given, Screen(console))
        summary = to_json(journal)
        if given.json is not None:
            _write(given.json, summary + "\n")
    except DemoError as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    console.print()
    print_summary(console, journal)
    sys.stdout.write(f"\n{summary}\n")
    sys.stdout.flush()
    return 1 if journal.outstanding() else 0


def _play(given: argparse.Namespace, screen: Screen) -> Journal:
    if given.data is None:
        return play_sample(screen, given.items or ITEMS_PER_KIND)
    from genrestream.demo.real_demo import play_real  # noqa: PLC0415 - only with --data

    return play_real(screen, given.data, given.items)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DemoError(f"--json {path}: {error.strerror}") from error


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m genrestream.demo",
        description="Label a catalogue live on real servers, from an empty folder to a table of results. "
        "The last line of standard output is one JSON object.",
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="real catalogue sets; trains on them first")
    parser.add_argument("--items", type=_positive, metavar="N", help="items a kind (with --data: a set)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON object there as well")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 100_000:
        raise ValueError(text)
    return number
