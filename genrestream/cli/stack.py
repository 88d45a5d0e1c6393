"""`genrestream up`, `down`, `status`: the local stack."""

from pathlib import Path
from typing import Annotated

import typer

Directory = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        help="Folder of the stack's data, logs and state: GENRESTREAM_DIR, else .genrestream.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command(rich_help_panel="Run")(up)
    app.command(rich_help_panel="Run")(down)
    app.command(rich_help_panel="Run")(status)


def up(
    models: Annotated[
        Path | None,
        typer.Option("--models", help="The model repository that Triton serves. [default: triton_models]"),
    ] = None,
    directory: Directory = None,
    load: Annotated[
        list[str] | None, typer.Option("--load", help="A model to load from the start; repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Start Kafka, Redis and Triton here, and Prometheus where it is installed.

    Creates the topics, loads what is live into Triton and announces it; returns when workers can begin. Each
    server takes its usual port where that is free. Servers that KAFKA_BOOTSTRAP, REDIS_URL or TRITON_URL name
    are used instead of started.
    """
    from genrestream.cli import local_stack  # noqa: PLC0415 - loads every server's client

    local_stack.start(directory, models, load or (), as_json=as_json)


def down(
    directory: Directory = None,
    wipe: Annotated[bool, typer.Option("--wipe", help="Also delete the data and logs.")] = False,
) -> None:
    """Stop what `up` started, and nothing else."""
    from genrestream.cli import local_stack  # noqa: PLC0415 - loads every server's client

    local_stack.stop(directory, wipe=wipe)


def status(directory: Directory = None, as_json: Json = False) -> None:
    """Show where the servers listen and whether they are ready; exit status 1 when one is not."""
    from genrestream.cli import local_stack  # noqa: PLC0415 - loads every server's client

    local_stack.show(directory, as_json=as_json)
