"""`genrestream release`, `releases` and `rollback`: what is live, and how that changes."""

import asyncio
import json
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from genrestream.cli.addresses import Addresses, resolve_addresses
from genrestream.cli.errors import CommandError
from genrestream.cli.one_line import one_line_errors
from genrestream.cli.security import connection_security
from genrestream.ops.state import External
from genrestream.repository import Repository
from genrestream.repository.golden import Golden
from genrestream.repository.layout import kind_and_task
from genrestream.schemas.releases import Release, ReleaseAction
from genrestream.training.release import (
    Offline,
    Servers,
    choose_candidate,
    choose_rollback,
)
from genrestream.training.release import release as release_candidate
from genrestream.training.release import rollback as roll_back
from genrestream.workers.errors import KafkaUnavailableError

Result = TypeVar("Result")

Models = Annotated[Path, typer.Option(help="The model repository.", file_okay=False)]
IsOffline = Annotated[
    bool,
    typer.Option(
        "--offline", help="Without Triton and Kafka: checked in process, announced at the next stack's start."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="Models")(release)
    app.command(rich_help_panel="Models")(releases)
    app.command(rich_help_panel="Models")(rollback)
    app.command(rich_help_panel="Models")(retire)


def release(
    head: Annotated[
        str | None,
        typer.Argument(metavar="[HEAD]", help="KIND-TASK. [default: the only one with a candidate]"),
    ] = None,
    models: Models = Path("triton_models"),
    force: Annotated[
        bool, typer.Option("--force", help="Also if it does not beat what is simpler or live; it is noted.")
    ] = False,
    offline: IsOffline = False,
    as_json: Json = False,
) -> None:
    """Make a head's newest candidate live, while everything runs.

    It has to beat the baselines and the version that is live, as its training measured them on its test fold.

    It becomes a version in the model repository, Triton loads it, its golden batch is checked there, and it
    is announced to all workers. If anything fails, what was live stays live.
    """
    with one_line_errors():
        repository = Repository(models)
        candidate = choose_candidate(repository, head)
        servers = _servers(repository, offline=offline)
        released = _run(release_candidate(repository, candidate, servers, force=force))
    _tell(repository, released, "released", offline=offline, as_json=as_json)


def rollback(
    head: Annotated[str, typer.Argument(metavar="HEAD", help="KIND-TASK, such as podcast-genres.")],
    to: Annotated[
        int | None, typer.Option(min=1, help="The version to go back to. [default: the one live before]")
    ] = None,
    models: Models = Path("triton_models"),
    offline: IsOffline = False,
    as_json: Json = False,
) -> None:
    """Make an earlier version of a head live again."""
    with one_line_errors():
        repository = Repository(models)
        target = choose_rollback(repository, head, to)
        _run(roll_back(repository, target, _servers(repository, offline=offline)))
    _tell(repository, target, "rolled back to", offline=offline, as_json=as_json)


def retire(
    head: Annotated[str, typer.Argument(metavar="HEAD", help="KIND-TASK, such as podcast-genres.")],
    models: Models = Path("triton_models"),
    as_json: Json = False,
) -> None:
    """Take a head out of service: items are labelled for its task no more. The labels that are there stay.

    Its versions stay in the model repository; `genrestream rollback HEAD --to VERSION` brings one back.
    """
    from genrestream.workers.announce import read_announcements  # noqa: PLC0415 - loads the Kafka client
    from genrestream.workers.announce import retire as announce_retired  # noqa: PLC0415

    with one_line_errors():
        kind, task = kind_and_task(head)
        repository = Repository(models)
        bootstrap = resolve_addresses().kafka_bootstrap
        login = connection_security(kafka=True).kafka
        announced = [one.announcement.release for one in _run(read_announcements(bootstrap, login))]
        known = any((release.kind, release.task) == (kind, task) for release in announced)
        if not known and repository.live(head) is None:
            raise CommandError(f"{head} is not in service")
        _run(announce_retired(bootstrap, kind, task, login))
        repository.restore_live(head, None)
    typer.echo(
        json.dumps({"kind": kind, "task": task, "retired": True}) if as_json else f"{head} is out of service"
    )


def releases(models: Models = Path("triton_models"), as_json: Json = False) -> None:
    """List the heads' versions and candidates, and what is live: as Kafka says, else the folder."""
    with one_line_errors():
        repository = Repository(models)
        rows = [row for head in repository.heads() for row in _rows(repository, head)]
    announced = _announced()
    for row in rows:
        newest = (announced or {}).get((row["kind"], row["task"]))
        row["announced"] = None if announced is None else newest == (row["model"], row["version"])
        row["live"] = bool(row["live"] if announced is None else row["announced"])
    if as_json:
        typer.echo(json.dumps({"source": "folder" if announced is None else "kafka", "releases": rows}))
        return
    table = Table(
        "head", "version", "", "trained", "labels", "top-1", "microF1", "mAP", box=None, pad_edge=False
    )
    for row in rows:
        table.add_row(
            f"{row['kind']}-{row['task']}",
            str(row["version"] or "candidate"),
            "[green]live[/green]" if row["live"] else "",
            row["created_at"][:16].replace("T", " "),
            str(row["labels"]),
            *(f"{row['metrics'][name]:.3f}" if name in row["metrics"] else "" for name in _SHOWN),
        )
    console = Console()
    console.print(table)
    if announced is None:
        console.print("Kafka was not asked: live is what the folder says.", highlight=False)


_SHOWN = ("top1", "micro_f1", "mean_ap")


def _rows(repository: Repository, head: str) -> list[dict[str, Any]]:
    live = repository.live(head)
    found: list[tuple[Release, bool, Path | None]] = [
        (release, True, repository.page(release.model, release.version))
        for release in repository.releases(head)
    ]
    found += [(candidate.release, False, candidate.page) for candidate in repository.candidates(head)]
    return [
        {
            "kind": release.kind,
            "task": release.task,
            "model": release.model,
            "version": release.version if released else None,
            "live": released
            and live is not None
            and (live.model, live.version) == (release.model, release.version),
            "created_at": release.created_at.isoformat(),
            "labels": len(release.labels),
            "encoders": [f"{encoder.model} {encoder.version}" for encoder in release.encoders.values()],
            "metrics": release.metrics,
            "report": None if page is None else str(page),
        }
        for release, released, page in found
    ]


def _announced() -> dict[tuple[str, str], tuple[str, int]] | None:
    """Model and version of the newest announcement by kind and task; None when Kafka is not to be reached."""
    from genrestream.workers.announce import read_announcements  # noqa: PLC0415 - loads the Kafka client

    try:
        bootstrap = External.from_environment().kafka_bootstrap or resolve_addresses().kafka_bootstrap
        found = asyncio.run(read_announcements(bootstrap, connection_security(kafka=True).kafka))
    except (CommandError, KafkaUnavailableError):
        return None
    return {
        (one.announcement.release.kind, one.announcement.release.task): (
            one.announcement.release.model,
            one.announcement.release.version,
        )
        for one in found
    }


class _LiveServers:
    """Triton and Kafka, each connected to when it is needed."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._security = connection_security(kafka=True, triton=True)

    async def require_ready(self) -> None:
        from genrestream.workers.announce import read_announcements  # noqa: PLC0415
        from genrestream.workers.triton_control import TritonControl  # noqa: PLC0415

        async with TritonControl(self._addresses.triton_url, self._security.triton) as triton:
            await triton.require_ready()
        await read_announcements(self._addresses.kafka_bootstrap, self._security.kafka)

    async def load(self, model: str, *versions: int) -> None:
        from genrestream.workers.triton_control import TritonControl  # noqa: PLC0415

        async with TritonControl(self._addresses.triton_url, self._security.triton) as triton:
            await triton.load(model, *versions)

    async def confidences(self, release: Release, golden: Golden) -> Any:
        from genrestream.workers.triton_control import TritonControl  # noqa: PLC0415

        async with TritonControl(self._addresses.triton_url, self._security.triton) as triton:
            return await triton.confidences(release, golden)

    async def announce(self, release: Release, action: ReleaseAction) -> None:
        from genrestream.workers.announce import announce  # noqa: PLC0415

        await announce(self._addresses.kafka_bootstrap, release, action, self._security.kafka)


def _servers(repository: Repository, *, offline: bool) -> Servers:
    return Offline(repository) if offline else _LiveServers(resolve_addresses())


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    from genrestream.workers.triton_control import ModelServerError  # noqa: PLC0415 - loads the Triton client

    try:
        return asyncio.run(work)
    except (ModelServerError, KafkaUnavailableError) as error:
        raise CommandError(str(error)) from error


def _tell(repository: Repository, release: Release, done: str, *, offline: bool, as_json: bool) -> None:
    page = repository.page(release.model, release.version)
    if as_json:
        live = {"model": release.model, "version": release.version, "announced": not offline}
        report = {"report": None if page is None else str(page)}
        typer.echo(json.dumps({"kind": release.kind, "task": release.task, **live, **report}))
        return
    when = "; announced at the next `genrestream up`" if offline else " and announced"
    typer.echo(f"{done} {release.kind}-{release.task} version {release.version}{when}")
    if page is not None:
        typer.echo(f"report: {os.path.relpath(page)}")
