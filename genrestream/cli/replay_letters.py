"""`genrestream dead-letters replay`: publish again what can be labelled now."""

from collections import Counter
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from genrestream.cli.errors import CommandError
from genrestream.cli.letter_options import (
    Code,
    Json,
    KindOption,
    Limit,
    PlacesArgument,
    Since,
    Source,
    Until,
    wanted_letters,
)
from genrestream.cli.progress import progress_bar, reporter
from genrestream.cli.reading import kafka_bootstrap, kafka_login, run_reading, tell_unreadable, write_line
from genrestream.client.letters import LETTER_TOPICS, MAX_LETTERS, Filed, Letters, State, Wanted, read_letters
from genrestream.client.partitions import open_partition_reader
from genrestream.client.publisher import Publisher
from genrestream.client.replay import Refusal, carry_out, plan_replay
from genrestream.client.show import dead_letter_line, print_line
from genrestream.client.show_letter import filed_fields, json_line
from genrestream.schemas.topics import INPUT_TOPICS

DEFAULT_RATE_PER_S = 100.0
MAX_LOST_TOLD = 10


def replay(
    places: PlacesArgument = None,
    code: Code = None,
    kind: KindOption = None,
    source: Source = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = MAX_LETTERS,
    rate: Annotated[
        float, typer.Option(min=0.001, max=100_000, help="Replays a second, beside what else comes in.")
    ] = DEFAULT_RATE_PER_S,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what would be done.")] = False,
    as_json: Json = False,
) -> None:
    """Publish dead letters again, as they came, to where they came from; without --yes only say which.

    Each keeps its place among the versions of its item: what has a newer version is not replayed, and workers
    end what is overtaken on the way. What was replayed is marked and not replayed again, so the command may
    be broken off and run anew. Codes that rest on the bytes alone are left out unless named.
    Needs Kafka only.
    """
    wanted = wanted_letters(code, kind, source, since, until, places or ())
    ended = run_reading(_replay(wanted, limit, rate, yes=yes, as_json=as_json))
    done = ended.pop(None, 0)
    if as_json:
        reasons = {reason.name.lower(): count for reason, count in ended.items() if reason}
        write_line(json_line({"replayed" if yes else "would_replay": done, "refused": reasons}))
        return
    console = Console(stderr=True, highlight=False)
    console.print(f"{done} {'replayed' if yes else 'would be replayed'}, {sum(ended.values())} not")
    for refusal, count in ended.most_common():
        console.print(f"{count:>7}  {refusal}", style="dim", soft_wrap=True)
    if done and not yes:
        console.print("--yes replays them", style="dim")


async def _replay(
    wanted: Wanted, limit: int, rate: float, *, yes: bool, as_json: bool
) -> Counter[Refusal | None]:
    """How many were replayed (None), or would be, and how many were refused for which reason."""
    bootstrap, login = kafka_bootstrap(), kafka_login()
    async with open_partition_reader(bootstrap, (*LETTER_TOPICS, *INPUT_TOPICS.values()), login) as reader:
        with progress_bar() as bar:
            report = reporter(bar)
            letters = await read_letters(reader, wanted, report, tell_unreadable)
            if lost := sorted(wanted.places - letters.found.keys()):
                raise CommandError(f"no dead letter of {', '.join(map(str, lost[:MAX_LOST_TOLD]))}")
            named = wanted.code is not None or bool(wanted.places)
            plan = await plan_replay(
                reader,
                letters,
                named=named,
                progress=lambda done, total: report("newer versions", done, total),
            )
        chosen = plan.chosen[-limit:]
        # What has come to its end is counted; it is told where it was asked for by its place.
        told = _Told(letters, every=bool(wanted.places), as_json=as_json)
        for letter, refusal in plan.refused:
            told.end(letter, refusal)
        if not yes:
            for letter in chosen:
                told.end(letter, None)
            return told.ended
        with progress_bar() as bar:
            report = reporter(bar)

            def on_end(letter: Filed, refusal: Refusal | None) -> None:
                told.end(letter, refusal)
                report("replaying", sum(told.ended.values()) - len(plan.refused), len(chosen))

            async with (
                open_partition_reader(bootstrap, LETTER_TOPICS, login) as stored,
                Publisher(bootstrap, login) as publisher,
            ):
                await carry_out(chosen, plan.scan, stored, publisher, rate, on_end)
    return told.ended


class _Told:
    """Shows what becomes of each letter, and counts it."""

    def __init__(self, letters: Letters, *, every: bool, as_json: bool) -> None:
        self._letters = letters
        self._every = every
        self._as_json = as_json
        self._console = Console()
        self.ended: Counter[Refusal | None] = Counter()

    def end(self, letter: Filed, refusal: Refusal | None) -> None:
        """It is replayed, or refused."""
        self.ended[refusal] += 1
        state = self._letters.states[letter.place]
        if state is not State.OPEN and not self._every:
            return
        if self._as_json:
            verdict = {"refused": refusal.name.lower() if refusal else None}
            write_line(json_line(filed_fields(letter, state) | verdict))
        else:
            line = Text(
                "replay  " if refusal is None else "refuse  ", "green" if refusal is None else "yellow"
            )
            line.append(dead_letter_line(letter))
            if refusal is not None:
                line.append(f"  ({refusal})", "yellow")
            print_line(self._console, line)
