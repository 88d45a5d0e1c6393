"""`genrestream announce`: bring Triton and Kafka to what the model repository says is live."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from genrestream.cli.addresses import resolve_addresses
from genrestream.cli.errors import CommandError
from genrestream.cli.security import connection_security
from genrestream.repository import RepositoryError
from genrestream.workers.errors import KafkaUnavailableError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Models")(announce)


def announce(
    models: Annotated[Path, typer.Option(help="The model repository.", file_okay=False)] = Path(
        "triton_models"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Load what is live into Triton, and announce what Kafka does not know yet; `up` does it by itself."""
    from genrestream.workers.announce import announce_live  # noqa: PLC0415 - loads Kafka's and Triton's clients
    from genrestream.workers.triton_control import ModelServerError  # noqa: PLC0415

    addresses = resolve_addresses()
    security = connection_security(kafka=True, triton=True)
    try:
        announced = asyncio.run(
            announce_live(models, addresses.kafka_bootstrap, addresses.triton_url, security)
        )
    except (RepositoryError, ModelServerError, KafkaUnavailableError) as error:
        raise CommandError(str(error)) from error
    releases = [one.announcement.release for one in announced]
    if as_json:
        rows = [
            {"kind": it.kind, "task": it.task, "model": it.model, "version": it.version} for it in releases
        ]
        typer.echo(json.dumps({"announced": rows}))
        return
    for it in releases:
        typer.echo(f"announced {it.kind}-{it.task} version {it.version}")
    if not releases:
        typer.echo("all live releases are announced already")
