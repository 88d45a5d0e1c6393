"""`genrestream runs`, and the option of `genrestream train` that records them."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from genrestream.cli.one_line import one_line_errors
from genrestream.client.show import local_time, print_line, printable
from genrestream.training.runs.place import place_of
from genrestream.training.runs.store import RecordedRun, RunStore

RUNS_VARIABLE = "GENRESTREAM_RUNS"
"""An own variable: MLFLOW_TRACKING_URI may be there for other programs, whose server is none of ours."""

RunsOption = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER|URL",
        envvar=RUNS_VARIABLE,
        help="Record the training with MLflow: in a folder, in sqlite:///FILE, or at a server (http://, "
        "https://). Nothing is recorded without it, whatever MLFLOW_TRACKING_URI says.",
    ),
]

_SHOWN = {"top-1": "test/top1", "microF1": "test/micro_f1", "mAP": "test/mean_ap"}
_STYLES = {"finished": "green", "failed": "red", "running": "yellow"}
MAX_NAME_CHARS = 40


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Models")(runs)


def runs(
    store: Annotated[
        str, typer.Argument(metavar="FOLDER|URL", envvar=RUNS_VARIABLE, help="What `train --runs` was given.")
    ],
    head: Annotated[
        str | None, typer.Option(metavar="KIND-TASK", help="Of one head only. [default: all]")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """List the trainings that `genrestream train --runs` recorded, the newest first.

    A training whose process was killed stays `running`. --json has all of a run's parameters and figures.
    """
    with one_line_errors():
        # One more than is shown says whether there are more.
        found = RunStore.to_read(place_of(store)).newest(limit + 1, head)
    shown = found[:limit]
    if as_json:
        typer.echo(json.dumps({"runs": [_as_object(run) for run in shown]}))
        return
    console = Console()
    for line in _lines(shown):
        print_line(console, line)
    if len(found) > limit:
        Console(stderr=True).print(f"the newest {limit}: --limit shows more", style="dim")
    elif not found:
        Console(stderr=True).print("no runs" if head is None else f"no runs of {head}", style="dim")


def _as_object(run: RecordedRun) -> dict[str, Any]:
    return {
        "run": run.run,
        "head": run.head,
        "recipe": run.params.get("recipe.name"),
        "status": run.status,
        "began_at": run.began_at.isoformat(),
        "ended_at": None if run.ended_at is None else run.ended_at.isoformat(),
        "candidate": run.tags.get("candidate"),
        "error": run.tags.get("error"),
        "params": run.params,
        "metrics": run.metrics,
        "tags": run.tags,
    }


def _lines(found: Sequence[RecordedRun]) -> list[Text]:
    """The columns' names, and a line a run: when, head, recipe, how it ended, figures, candidate or error."""
    if not found:
        return []
    names = [(printable(run.head, MAX_NAME_CHARS), _recipe(run)) for run in found]
    head_chars, recipe_chars = (
        max(map(len, column)) for column in zip(("head", "recipe"), *names, strict=True)
    )
    first = Text(f"{'began':<19}  {'head':<{head_chars}}  {'recipe':<{recipe_chars}}  {'':<8}", "bold")
    first.append("".join(f"  {name:>7}" for name in _SHOWN) + "  candidate", "bold")
    lines = [first]
    for run, (head, recipe) in zip(found, names, strict=True):
        line = Text(f"{local_time(run.began_at)}  {head:<{head_chars}}  {recipe:<{recipe_chars}}  ")
        line.append(f"{printable(run.status, 8):<8}", _STYLES.get(run.status, ""))
        line.append("".join(f"  {_figure(run, name):>7}" for name in _SHOWN.values()))
        line.append(f"  {printable(run.tags.get('error') or run.tags.get('candidate', ''), 300)}")
        lines.append(line)
    return lines


def _recipe(run: RecordedRun) -> str:
    return printable(run.params.get("recipe.name", "own head"), MAX_NAME_CHARS)


def _figure(run: RecordedRun, name: str) -> str:
    return f"{run.metrics[name]:.3f}" if name in run.metrics else ""
