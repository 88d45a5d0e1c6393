"""What `genrestream up`, `down` and `status` do; `stack.py` has their options.

Apart from those because it loads the clients of all servers, which takes longer than `--help` should.
"""

import asyncio
import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson
import typer
from rich.console import Console
from rich.table import Table

from genrestream.cli.errors import CommandError
from genrestream.cli.security import connection_security
from genrestream.connections.settings import Security
from genrestream.ops import stack
from genrestream.ops.errors import StackError
from genrestream.ops.redact import without_credentials
from genrestream.ops.state import External, StackState, load_state, stack_directory
from genrestream.ops.status import ServerStatus, check
from genrestream.repository import RepositoryError
from genrestream.workers.announce import announce_live, heads_elsewhere
from genrestream.workers.errors import KafkaUnavailableError
from genrestream.workers.topics import BrokerUnavailable, TopicsError, create_topics
from genrestream.workers.triton_control import ModelServerError

DEFAULT_MODELS = Path("triton_models")
DATA_FOLDERS = ("kafka", "redis", "triton", "prometheus", "logs")


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except (
        StackError,
        TopicsError,
        BrokerUnavailable,
        RepositoryError,
        KafkaUnavailableError,
        ModelServerError,
    ) as error:
        raise CommandError(str(error)) from error


def start(directory: Path | None, models: Path | None, load: Sequence[str], *, as_json: bool) -> None:
    """Starts what is missing, prepares it for workers, and shows it."""
    served = models or DEFAULT_MODELS
    folder = _folder(directory)
    console = Console(stderr=True)
    security = _security()
    with _one_line_errors(), stack.locked(folder):
        state = _running(folder, models, console, security)
        if state is None:
            state = stack.start(
                folder,
                served,
                load=load,
                external=External.from_environment(),
                security=security,
                report=lambda line: console.print(line, style="dim", highlight=False),
            )
            try:
                _prepare(state, served, console, security)
            except BaseException:
                stack.stop(state)
                raise
        _show(state, check(state, security), as_json=as_json)


def _security() -> Security:
    """How the servers that the environment names are connected to; those of the stack itself are plain."""
    external = External.from_environment()
    return connection_security(
        kafka=external.kafka_bootstrap is not None,
        redis_url=external.redis_url,
        triton=external.triton_url is not None,
    )


def _prepare(state: StackState, models: Path, console: Console, security: Security) -> None:
    """What workers need to begin: the topics, and the live releases loaded and announced."""
    create_topics(state.kafka_bootstrap, security=security.kafka)
    asyncio.run(announce_live(models, state.kafka_bootstrap, state.triton_url, security))
    for head in asyncio.run(heads_elsewhere(models, state.kafka_bootstrap, security.kafka)):
        console.print(
            f"{head} is announced on this Kafka, and not live in {models}: items of its kind wait for it. "
            f"`genrestream retire {head}` ends that.",
            style="yellow",
            highlight=False,
            soft_wrap=True,
        )


def _running(folder: Path, models: Path | None, console: Console, security: Security) -> StackState | None:
    """The stack that already runs in the folder; one that has lost a server is stopped."""
    state = load_state(folder)
    if state is None:
        return None
    lost = [server.title for server in check(state, security) if not server.running]
    if not lost:
        if models is not None and models.absolute() != Path(state.models):
            raise CommandError(f"a stack that serves {state.models} is running: `genrestream down` stops it")
        console.print("already running", style="dim")
        return state
    console.print(f"{', '.join(lost)} stopped meanwhile: starting anew", style="yellow")
    stack.stop(state)
    return None


def stop(directory: Path | None, *, wipe: bool) -> None:
    """Stops the stack of the folder, and with `wipe` deletes its data."""
    folder = _folder(directory)
    console = Console(stderr=True)
    with _one_line_errors(), stack.locked(folder):
        state = load_state(folder)
        if state is not None:
            stack.stop(state)
            console.print(f"stopped {', '.join(server.name for server in state.servers) or 'nothing'}")
        else:
            console.print(f"no stack runs in {folder}")
        if wipe:
            for name in DATA_FOLDERS:
                shutil.rmtree(folder / name, ignore_errors=True)


def show(directory: Path | None, *, as_json: bool) -> None:
    """Shows the servers; exit status 1 when one is not ready."""
    folder = _folder(directory)
    with _one_line_errors():
        state = load_state(folder)
        if state is None:
            raise CommandError(f"no stack runs in {folder}: run `genrestream up`")
        servers = check(state, _security())
    _show(state, servers, as_json=as_json)
    if not all(server.ready for server in servers):
        raise typer.Exit(1)


def _folder(directory: Path | None) -> Path:
    return directory.absolute() if directory else stack_directory()


def _show(state: StackState, servers: list[ServerStatus], *, as_json: bool) -> None:
    if as_json:
        shown = dataclasses.asdict(state) | {
            "redis_url": without_credentials(state.redis_url),
            "servers": [dataclasses.asdict(server) for server in servers],
        }
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
