"""`genrestream cache rebuild`: fill Redis anew from the label topic."""

import asyncio
import logging
from collections import Counter
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from genrestream.cli.addresses import resolve_addresses
from genrestream.cli.errors import CommandError
from genrestream.cli.security import connection_security
from genrestream.ops.state import External

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    cache = typer.Typer(no_args_is_help=True, help="Look after the label cache in Redis.")
    cache.callback()(lambda: None)  # keeps `rebuild` a command of the group while it is the only one
    cache.command("rebuild")(rebuild)
    app.add_typer(cache, name="cache", rich_help_panel="Run")


def rebuild(as_json: Json = False) -> None:
    """Write all labels of the label topic to Redis, as far as they are newer than what is there.

    For a Redis that was emptied, replaced or away for long. Workers may run meanwhile. Needs Kafka and Redis:
    those of `genrestream up`, or of KAFKA_BOOTSTRAP and REDIS_URL.
    """
    outcomes = asyncio.run(_rebuild())
    counts = {name: outcomes[name] for name in ("written", "unchanged", "stale", "unreadable", "refused")}
    if as_json:
        typer.echo(orjson.dumps(counts).decode())
    else:
        typer.echo(", ".join(f"{count} {name}" for name, count in counts.items()))


async def _rebuild() -> Counter[str]:
    from genrestream.workers.cache import RedisCache  # noqa: PLC0415 - a help page needs no Redis client
    from genrestream.workers.errors import CacheUnavailableError, KafkaUnavailableError  # noqa: PLC0415
    from genrestream.workers.rebuild import rebuild as copy  # noqa: PLC0415

    for repeated in ("aiokafka", "genrestream.workers.script_pipeline"):
        logging.getLogger(repeated).setLevel(logging.CRITICAL)  # What it logs ends in our one line.
    external = External.from_environment()
    bootstrap = external.kafka_bootstrap or resolve_addresses().kafka_bootstrap
    redis_url = external.redis_url or resolve_addresses().redis_url
    security = connection_security(kafka=True, redis_url=redis_url)
    cache = RedisCache(redis_url, security=security.redis)
    columns = (TextColumn("labels"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task("labels", total=None)
            outcomes = await copy(
                bootstrap,
                cache,
                lambda done, total: progress.update(bar, completed=done, total=total),
                security=security.kafka,
            )
        return Counter({outcome.value: count for outcome, count in outcomes.items()})
    except (CacheUnavailableError, KafkaUnavailableError) as error:
        raise CommandError(str(error)) from error
    finally:
        await cache.close()
