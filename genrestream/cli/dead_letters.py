"""`genrestream dead-letters`: what could not be labelled, why, and what has become of it."""

import sys
from collections import defaultdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from genrestream.cli.errors import CommandError
from genrestream.cli.letter_options import (
    All,
    Code,
    Json,
    KindOption,
    Limit,
    PlaceArgument,
    Since,
    Source,
    Until,
    wanted_letters,
)
from genrestream.cli.progress import progress_bar, reporter
from genrestream.cli.reading import kafka_bootstrap, kafka_login, run_reading, tell_unreadable, write_line
from genrestream.cli.replay_letters import replay
from genrestream.client.letters import (
    LETTER_TOPICS,
    Filed,
    Letters,
    State,
    Wanted,
    find_letters,
    read_letters,
)
from genrestream.client.partitions import open_partition_reader
from genrestream.client.replay import stored_letters
from genrestream.client.show import dead_letter_line, local_time, print_line, printable
from genrestream.client.show_letter import filed_fields, json_line, letter_fields, letter_lines
from genrestream.schemas import DeadLetter, Place


def register(app: typer.Typer) -> None:
    """Add the commands."""
    letters = typer.Typer(no_args_is_help=True, help="Items that could not be labelled.")
    letters.command("list")(list_letters)
    letters.command("groups")(groups)
    letters.command("show")(show)
    letters.command("replay")(replay)
    app.add_typer(letters, name="dead-letters", rich_help_panel="Labels")


def list_letters(
    code: Code = None,
    kind: KindOption = None,
    source: Source = None,
    since: Since = None,
    until: Until = None,
    every: All = False,
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """List the open dead letters, oldest first: when, code, topic/partition@offset, key, message.

    Open are those of which nothing has come yet. Needs Kafka only.
    """
    letters = run_reading(_read(wanted_letters(code, kind, source, since, until)))
    listed = letters.oldest_first(None if every else State.OPEN)
    for letter in listed[-limit:]:
        state = letters.states[letter.place]
        if as_json:
            write_line(json_line(filed_fields(letter, state)))
        else:
            line = dead_letter_line(letter)
            print_line(Console(), Text(f"{state:<11}") + line if every else line)
    if not as_json:
        _tell_rest(letters, shown=min(len(listed), limit), of=len(listed), every=every)


def groups(
    code: Code = None,
    kind: KindOption = None,
    source: Source = None,
    since: Since = None,
    until: Until = None,
    every: All = False,
    as_json: Json = False,
) -> None:
    """Group the open dead letters by code and source: how many, first and last, and the newest as example.

    The largest group comes first.
    """
    letters = run_reading(_read(wanted_letters(code, kind, source, since, until)))
    grouped: dict[tuple[str, str], list[Filed]] = defaultdict(list)
    for letter in letters.oldest_first(None if every else State.OPEN):
        grouped[letter.code, letter.source].append(letter)
    for group in sorted(grouped.values(), key=len, reverse=True):
        if as_json:
            write_line(json_line(_group_fields(group)))
        else:
            print_line(Console(), _group_line(group))
    if not as_json:
        count = sum(map(len, grouped.values()))
        _tell_rest(letters, shown=count, of=count, every=every)


def _group_fields(group: list[Filed]) -> dict[str, Any]:
    first, last = group[0], group[-1]
    return {
        "code": last.code,
        "source": last.source,
        "count": len(group),
        "first": first.at.isoformat(),
        "last": last.at.isoformat(),
        "example": {"place": str(last.place), "message": last.message},
    }


def _group_line(group: list[Filed]) -> Text:
    first, last = group[0], group[-1]
    line = Text()
    line.append(f"{len(group):>7}  ", "bold")
    line.append(f"{last.code:<26} ", "red")
    line.append(f"{printable(last.source, 40):<24} ")
    line.append(f"{local_time(first.at)} to {local_time(last.at)}  ", "dim")
    line.append(f"{last.place}  {printable(last.message, 200)}")
    return line


def show(
    place: PlaceArgument,
    raw: Annotated[bool, typer.Option("--raw", help="Only the untouched bytes of the payload.")] = False,
    as_json: Json = False,
) -> None:
    """Show all of one dead letter: reason, what to do about it, headers, payload.

    JSON is shown indented, anything else as a hex dump, both up to a limit. --raw writes the payload to
    standard output as it is, to a file or a pipe.
    """
    if raw and as_json:
        raise typer.BadParameter("give --raw or --json, and not both", param_hint="--raw")
    if raw and sys.stdout.isatty():
        raise CommandError("--raw writes whatever came in, which may control a terminal: send it to a file")
    filed, letter, state = run_reading(_find(place, with_state=not raw))
    if raw:
        if letter.value is None:
            raise CommandError(f"{place} has no payload: it removes the item")
        sys.stdout.buffer.write(letter.value)
        sys.stdout.buffer.flush()
    elif as_json:
        write_line(json_line(letter_fields(filed, letter, state)))
    else:
        for line in letter_lines(filed, letter, state):
            write_line(line)


async def _read(wanted: Wanted) -> Letters:
    async with open_partition_reader(kafka_bootstrap(), LETTER_TOPICS, kafka_login()) as reader:
        with progress_bar() as bar:
            return await read_letters(reader, wanted, reporter(bar), tell_unreadable)


async def _find(place: Place, *, with_state: bool) -> tuple[Filed, DeadLetter, State]:
    wanted = Wanted(places=frozenset({place}))
    async with open_partition_reader(kafka_bootstrap(), LETTER_TOPICS, kafka_login()) as reader:
        with progress_bar() as bar:
            read = read_letters if with_state else find_letters
            letters = await read(reader, wanted, reporter(bar), tell_unreadable)
        found = [pair async for pair in stored_letters(reader, letters.found.values())]
    if not found:
        raise CommandError(f"no dead letter of {place}")
    ((filed, letter),) = found
    return filed, letter, letters.states.get(place, State.OPEN)


def _tell_rest(letters: Letters, *, shown: int, of: int, every: bool) -> None:
    """Say on standard error what is not shown."""
    others = len(letters.found) - of
    told = []
    if not of:
        told.append("no dead letters" if every or not others else "no open dead letters")
    elif shown < of:
        told.append(f"the newest {shown} of {of}: --limit shows more")
    if others:
        told.append(f"{others} not open: --all shows them")
    if letters.left_out:
        told.append(f"{letters.left_out} older ones left out")
    if told:
        Console(stderr=True).print("; ".join(told), style="dim")
