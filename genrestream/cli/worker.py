"""`genrestream worker`: label what arrives."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from genrestream.cli.addresses import resolve_addresses
from genrestream.cli.errors import CommandError
from genrestream.cli.security import connection_security
from genrestream.schemas import Kind
from genrestream.workers.fork_server import start_fork_server
from genrestream.workers.process_memory import collect_seldom

RESOLVER_OPTIONS = "timeout:2 attempts:2"
"""Seconds for the name service to answer, and how often it is asked; see resolv.conf(5)."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Run")(worker)


def worker(
    name: Annotated[
        str | None,
        typer.Option(help="Stable name, unique a worker; default the host's name. [env: GENRESTREAM_NAME]"),
    ] = None,
    kind: Annotated[list[Kind] | None, typer.Option(help="Only this kind; may be given again.")] = None,
    models: Annotated[
        Path | None,
        typer.Option(
            help="The model repository that Triton serves. "
            "[default: that of `genrestream up`, else triton_models]"
        ),
    ] = None,
    media_root: Annotated[
        Path | None, typer.Option(help="Allow file:// media under this folder.", file_okay=False, exists=True)
    ] = None,
    http_port: Annotated[
        int | None, typer.Option(help="Port of metrics and health; 0 takes a free one. [default: 9464]")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run a worker until Ctrl-C or SIGTERM, which drain what is in flight.

    Kafka, Redis and Triton are those of `genrestream up`, or of KAFKA_BOOTSTRAP, REDIS_URL and TRITON_URL.
    Every other setting has an environment variable GENRESTREAM_<NAME>; docs/settings.md lists them.
    """
    # A killed worker's partitions stand still until it is back: what takes long is begun first.
    start_fork_server()
    collect_seldom()
    from genrestream.workers.app import WorkerFailure, run_worker  # noqa: PLC0415 - imports Faust
    from genrestream.workers.settings import WorkerSettings  # noqa: PLC0415

    given: dict[str, Any] = {
        "name": name,
        "kinds": tuple(kind) if kind else None,
        "models": models,
        "media_root": media_root,
        "http_port": http_port,
    }
    addresses = resolve_addresses()
    security = connection_security(kafka=True, redis_url=addresses.redis_url, triton=True)
    if models is None and addresses.models is not None and "GENRESTREAM_MODELS" not in os.environ:
        given["models"] = addresses.models
    try:
        settings = WorkerSettings(**{field: value for field, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        raise CommandError(f"setting {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    # The C library gives a name service that hangs 10 s and more, in which strangers' names would fill up the
    # places of look-ups; with this it is 4 s. It is read at the first look-up, so it is set before.
    os.environ.setdefault("RES_OPTIONS", RESOLVER_OPTIONS)
    try:
        run_worker(
            settings,
            addresses.kafka_bootstrap,
            addresses.redis_url,
            addresses.triton_url,
            log_level,
            security,
        )
    except WorkerFailure as failure:
        sys.stdout.flush()
        raise CommandError(str(failure)) from failure
