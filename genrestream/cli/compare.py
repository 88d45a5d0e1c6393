"""`genrestream train compare`: earlier systems and our own heads on the same splits, as table and page."""

import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from genrestream.cli.device import Device, device_of
from genrestream.cli.encoders import build_pretrained
from genrestream.cli.figures import sets_table
from genrestream.cli.one_line import one_line_errors
from genrestream.cli.progress import progress_bar, reporter
from genrestream.repository.atomic import write_atomically
from genrestream.schemas import Kind
from genrestream.training.errors import TrainingError

if TYPE_CHECKING:
    from genrestream.training.comparison.contend import Settings
    from genrestream.training.comparison.contests import Contest
    from genrestream.training.comparison.entries import Entry
    from genrestream.training.comparison.other_labels import OtherEntry
    from genrestream.training.comparison.results import Result
    from genrestream.training.comparison.table import Row
    from genrestream.training.request import Progress

NAME = "train compare"
WORK = Path(".genrestream/compare")
PAGE = "comparison.html"
TABLE_COLUMNS = 110
"""Of a narrower terminal the table's lines break, and no figure is cut."""

notes = Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(NAME, rich_help_panel="Models")(compare)


def compare(
    data: Annotated[
        Path, typer.Option(help="The folder of the catalogue sets.", file_okay=False, exists=True)
    ],
    only: Annotated[
        str, typer.Option(metavar="NAME,...", help="Some contests; without it all whose sets are there.")
    ] = "",
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Splits and trainings; the table has means.")] = 1,
    recipe_epochs: Annotated[
        int | None, typer.Option(min=1, help="At most, for a first look; else as the recipes say.")
    ] = None,
    work: Annotated[
        Path, typer.Option(help="Where encoders, candidates and results are kept.", file_okay=False)
    ] = WORK,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", dir_okay=False, help=f"The page. [default: {PAGE} in --work]"),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where networks are trained.")] = Device.AUTO,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Train the earlier systems and our own heads on the same splits, and compare them.

    Builds the pretrained encoders first, once. Each contest trains from nothing; a comparison that was broken
    off goes on with the next contest. Takes a quarter of an hour on two cores.
    """
    began_s = time.monotonic()
    with one_line_errors():
        from genrestream.training.comparison.contend import Settings  # noqa: PLC0415 - imports torch
        from genrestream.training.comparison.contests import SAMPLE, choose_contests  # noqa: PLC0415
        from genrestream.training.comparison.page import comparison_page  # noqa: PLC0415

        contests = choose_contests(data, [name.strip() for name in only.split(",") if name.strip()])
        work = work.absolute()
        settings = Settings(
            data=data,
            work=work,
            sample=_sample(work, wanted=any(contest.set_name == SAMPLE for contest in contests)),
            device=device_of(device),
            recipe_epochs=recipe_epochs,
        )
        build_pretrained(settings.encoders)
        results = _contend(contests, range(seeds), settings, quiet=as_json)
        page = html or work / PAGE
        _write(page, comparison_page(results, _scaled(contests, recipe_epochs), page.parent))
    _show(results, page, as_json=as_json)
    notes.print(f"{time.monotonic() - began_s:.0f} s; page: {os.path.relpath(page)}", highlight=False)


def _sample(work: Path, *, wanted: bool) -> Path:
    """Where the generated podcasts lie; they are made once, when they are wanted."""
    from genrestream.sample import SET_NAMES, generate  # noqa: PLC0415 - Pillow and FFmpeg take half a second
    from genrestream.training.catalogue import ITEMS_FILE  # noqa: PLC0415
    from genrestream.training.comparison.contests import SAMPLE_ITEMS, SAMPLE_SEED  # noqa: PLC0415

    folder = work / "sample"
    podcasts = folder / SET_NAMES[Kind.PODCAST]
    # The items' file is written last.
    if wanted and not (podcasts / ITEMS_FILE).is_file():
        _note(f"generating {SAMPLE_ITEMS} podcasts with covers")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            generate(folder, SAMPLE_ITEMS, SAMPLE_SEED)
        except OSError as error:
            raise TrainingError(f"cannot write {folder}: {error.strerror}") from error
    return podcasts


def _contend(
    contests: "Sequence[Contest]", seeds: range, settings: "Settings", *, quiet: bool
) -> "list[Result]":
    from genrestream.training.comparison.contend import contend  # noqa: PLC0415 - imports torch
    from genrestream.training.comparison.other_labels import mean_entries  # noqa: PLC0415
    from genrestream.training.comparison.table import rows_of  # noqa: PLC0415

    results = []
    for contest in contests:
        for seed in seeds:
            with ExitStack() as bars:
                results.append(contend(contest, seed, settings, _progress(bars), _note))
        if not quiet:
            mine = [result for result in results if result.contest == contest.name]
            rows, other = rows_of(mine), mean_entries(mine)
            wide = Console()
            wide.width = max(wide.width, TABLE_COLUMNS)
            wide.print(comparison_table(contest.name, rows))
            if other:
                wide.print(other_table(contest, other))
    return results


def _progress(bars: ExitStack) -> "Callable[[str], Progress]":
    """A bar a system; the one before it ends when the next begins, as only one can live in a terminal."""

    def of(system: str) -> "Progress":
        bars.close()
        return reporter(bars.enter_context(progress_bar()), system)

    return of


def _scaled(contests: "Sequence[Contest]", recipe_epochs: int | None) -> dict[str, str]:
    """What each recipe is, at which size, beside the published one."""
    from genrestream.training.comparison.contend import scaled  # noqa: PLC0415 - imports torch
    from genrestream.training.recipes.spec import load_recipe  # noqa: PLC0415

    names = dict.fromkeys(name for contest in contests for name in contest.recipes)
    return {name: scaled(load_recipe(name), recipe_epochs).describe() for name in names}


def comparison_table(title: str, rows: "Sequence[Row]") -> Table:
    """A line a system and what it hears."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("", overflow="fold", min_width=24)
    # micro, macro: F1.
    for name in ("items", "top-1", "top-5", "mAP", "micro", "macro", "ECE", "MB", "s", "ms"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        entry = row.entry
        found = entry.figures
        values = (
            (found.top1, found.top5, found.mean_ap, found.micro_f1, found.macro_f1, found.ece)
            if found
            else ()
        )
        table.add_row(
            _named(entry),
            str(found.items) if found else "",
            *([f"{value:.3f}" for value in values] or [""] * 6),
            "" if entry.size_bytes is None else f"{entry.size_bytes / 1e6:.1f}",
            "" if entry.training_s is None else f"{entry.training_s:.0f}",
            "" if entry.inference_ms is None else f"{entry.inference_ms:.2f}",
        )
    return table


def other_table(contest: "Contest", entries: "Sequence[OtherEntry]") -> Table:
    """A line a system and what it hears, by the labels of the contest's other set."""
    title = (
        f"{contest.name}, the labels of {contest.other_set}: joined by title, {entries[0].labels} labels, "
        f"{entries[0].ambiguous} items left out as ambiguous"
    )
    lines = {f"{entry.system}: {entry.hears}": entry.sets for entry in entries}
    return sets_table(title, lines)


def _named(entry: "Entry") -> str:
    if entry.figures is None:
        return f"{entry.system}: {entry.note}"
    return f"{entry.system}: {entry.hears}" if entry.hears else entry.system


def _show(results: "Sequence[Result]", page: Path, *, as_json: bool) -> None:
    from genrestream.training.comparison.table import rows_of  # noqa: PLC0415 - imports torch
    from genrestream.training.gates import describe  # noqa: PLC0415

    if as_json:
        leads = [
            {"contest": result.contest, "seed": result.seed, **gate.model_dump(mode="json")}
            for result in results
            for gate in result.leads
        ]
        rows = [row.as_dict() for row in rows_of(results)]
        other = [
            {"contest": result.contest, "seed": result.seed, **entry.model_dump(mode="json")}
            for result in results
            for entry in result.other
        ]
        typer.echo(json.dumps({"rows": rows, "leads": leads, "other_labels": other, "page": str(page)}))
        return
    for result in results:
        for gate in result.leads:
            line = f"{result.contest}, seed {result.seed}: ours beside {describe(gate)}"
            Console().print(line, highlight=False, soft_wrap=True)


def _write(path: Path, page: bytes) -> None:
    try:
        write_atomically(path, page)
    except OSError as error:
        raise TrainingError(f"cannot write {path}: {error.strerror}") from error


def _note(text: str) -> None:
    notes.print(text, highlight=False, soft_wrap=True)
