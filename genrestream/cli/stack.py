"""`genrestream up`, `down`, `status`: the local stack."""

import dataclasses
import shutil
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from genrestream.cli.errors import CommandError
from genrestream.ops import stack
from genrestream.ops.errors import StackError
from genrestream.ops.state import External, StackState, load_state, stack_directory
from genrestream.ops.status import ServerStatus, check
from genrestream.workers.topics import BrokerUnavailable, TopicsError, create_topics

Directory = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        help="Folder of the stack's data, logs and state.  [default: GENRESTREAM_DIR or .genrestream]",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(up)
    app.command()(down)
    app.command()(status)


def up(
    models: Annotated[Path, typer.Option("--models", help="The model repository that Triton serves.")] = Path(
        "triton_models"
    ),
    directory: Directory = None,
    load: Annotated[
        list[str] | None, typer.Option("--load", help="A model to load from the start; repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Start Kafka, Redis and Triton here, and Prometheus where it is installed.

    Servers that KAFKA_BOOTSTRAP, REDIS_URL or TRITON_URL name are used instead of started.
    """
    folder = _folder(directory)
    console = Console(stderr=True)
    try:
        with stack.locked(folder):
            state = _running(folder, console)
            if state is None:
                state = stack.start(
                    folder,
                    models,
                    load=load or (),
                    external=External.from_environment(),
                    report=lambda line: console.print(line, style="dim", highlight=False),
                )
                try:
                    _prepare(state, models)
                except BaseException:
                    stack.stop(state)
                    raise
            _show(state, check(state), as_json=as_json)
    except (StackError, TopicsError, BrokerUnavailable) as error:
        raise CommandError(str(error)) from error


def _prepare(state: StackState, models: Path) -> None:
    """What the servers need before workers can begin: the topics, and the live releases announced."""
    create_topics(state.kafka_bootstrap)


def _running(folder: Path, console: Console) -> StackState | None:
    """The stack that already runs in the folder; one that has lost a server is stopped."""
    state = load_state(folder)
    if state is None:
        return None
    lost = [server.title for server in check(state) if not server.running]
    if not lost:
        console.print("already running", style="dim")
        return state
    console.print(f"{', '.join(lost)} stopped meanwhile: starting anew", style="yellow")
    stack.stop(state)
    return None


def down(
    directory: Directory = None,
    wipe: Annotated[bool, typer.Option("--wipe", help="Also delete the data and logs.")] = False,
) -> None:
    """Stop what `up` started, and nothing else."""
    folder = _folder(directory)
    console = Console(stderr=True)
    try:
        with stack.locked(folder):
            state = load_state(folder)
            if state is not None:
                stack.stop(state)
                console.print(f"stopped {', '.join(server.name for server in state.servers) or 'nothing'}")
            else:
                console.print(f"no stack runs in {folder}")
            if wipe:
                for name in ("kafka", "redis", "triton", "prometheus", "logs"):
                    shutil.rmtree(folder / name, ignore_errors=True)
    except StackError as error:
        raise CommandError(str(error)) from error


def status(directory: Directory = None, as_json: Json = False) -> None:
    """Show where the servers listen and whether they are ready; exit status 1 when one is not."""
    folder = _folder(directory)
    try:
        state = load_state(folder)
        if state is None:
            raise CommandError(f"no stack runs in {folder}: run `genrestream up`")
        servers = check(state)
    except StackError as error:
        raise CommandError(str(error)) from error
    _show(state, servers, as_json=as_json)
    if not all(server.ready for server in servers):
        raise typer.Exit(1)


def _folder(directory: Path | None) -> Path:
    return directory.absolute() if directory else stack_directory()


def _show(state: StackState, servers: list[ServerStatus], *, as_json: bool) -> None:
    if as_json:
        shown = dataclasses.asdict(state) | {"servers": [dataclasses.asdict(server) for server in servers]}
        typer.echo(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode())
        return
    table = Table(box=None, pad_edge=False)
    for title in ("server", "state", "pid", "memory", "address"):
        table.add_column(title, justify="right" if title in ("pid", "memory") else "left", no_wrap=True)
    for server in servers:
        how = "ready" if server.ready else "not ready" if server.running else "not running"
        first, *others = server.addresses.items()
        table.add_row(
            server.title if server.pid else f"{server.title} (yours)",
            f"[{'green' if server.ready else 'red'}]{how}[/]",
            str(server.pid or ""),
            "" if server.memory_bytes is None else f"{server.memory_bytes / 2**20:.0f} MiB",
            first[1],
        )
        for name, address in others:
            table.add_row(f"  [dim]{name}[/]", "", "", "", address)
    console = Console()
    # Rich cuts cells to the width of the terminal; an address has to be whole.
    console.width = max(console.width, 100)
    console.print(table)
    console.print(f"data and logs: {state.directory}", highlight=False, style="dim")
