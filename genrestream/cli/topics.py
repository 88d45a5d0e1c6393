"""`genrestream topics`: create the Kafka topics, or show what they have to be."""

import dataclasses
from typing import Annotated, Literal

import orjson
import typer
from rich.console import Console
from rich.table import Table

from genrestream.cli.addresses import resolve_addresses
from genrestream.cli.errors import CommandError
from genrestream.cli.security import connection_security
from genrestream.ops.state import External
from genrestream.schemas.topics import DAY_MS, TOPICS, Topic

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    topics = typer.Typer(no_args_is_help=True, help="Create the Kafka topics, or show what they have to be.")
    topics.command("create")(create)
    topics.command("list")(show)
    app.add_typer(topics, name="topics", rich_help_panel="Run")


def create(
    replication_factor: Annotated[
        int | None,
        typer.Option(min=1, max=32767, help="Copies of each partition. [default: the broker's own]"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Create the topics that are missing; those that exist stay as they are.

    Partition counts are fixed from the start: a topic that has another count is an error. Needs Kafka only:
    that of `genrestream up`, or of KAFKA_BOOTSTRAP.
    """
    from genrestream.workers.topics import (  # noqa: PLC0415 - Kafka's client takes a tenth of a second
        BrokerUnavailable,
        TopicsError,
        create_topics,
    )

    bootstrap = External.from_environment().kafka_bootstrap or resolve_addresses().kafka_bootstrap
    security = connection_security(kafka=True).kafka
    try:
        created = sorted(create_topics(bootstrap, replication_factor, security))
    except (TopicsError, BrokerUnavailable) as error:
        raise CommandError(str(error)) from error
    if as_json:
        existing = sorted({topic.name for topic in TOPICS} - set(created))
        typer.echo(orjson.dumps({"created": created, "existing": existing}).decode())
        return
    for name in created:
        typer.echo(f"created {name}")
    if not created:
        typer.echo("all topics are there")


def show(as_json: Json = False) -> None:
    """Show the topics with their partitions and retention; asks no server."""
    if as_json:
        listed = [dataclasses.asdict(topic) for topic in TOPICS]
        typer.echo(orjson.dumps({"topics": listed}, option=orjson.OPT_INDENT_2).decode())
        return
    table = Table(box=None, pad_edge=False)
    for title in ("topic", "partitions", "kept", "largest message"):
        justify: Literal["left", "right"] = "left" if title in ("topic", "kept") else "right"
        table.add_column(title, justify=justify, no_wrap=True)
    for topic in TOPICS:
        largest = f"{topic.max_message_bytes // 2**20} MiB"
        table.add_row(topic.name, str(topic.partitions), _kept(topic), largest)
    Console().print(table)


def _kept(topic: Topic) -> str:
    return "newest a key" if topic.compacted else f"{topic.retention_ms // DAY_MS} days"
