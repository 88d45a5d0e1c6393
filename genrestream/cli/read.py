"""`genrestream labels` and `lookup`: what came of the items."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import orjson
import typer
from aiokafka import ConsumerRecord
from rich.console import Console

from genrestream.cli.addresses import resolve_addresses
from genrestream.cli.errors import CommandError
from genrestream.cli.reading import kafka_bootstrap, kafka_login, run_reading, tell_unreadable, write_line
from genrestream.cli.security import connection_security
from genrestream.client.follow import Start, open_follower
from genrestream.client.labels import Labelled, Removed, Unreadable, read_label
from genrestream.client.partitions import open_partition_reader
from genrestream.client.show import label_line, print_line, printable, removal_line
from genrestream.ops.redact import without_credentials
from genrestream.ops.state import External
from genrestream.schemas import Kind, LabelRecord
from genrestream.schemas.topics import LABELS

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]
KindArgument = Annotated[Kind, typer.Argument(metavar="KIND", help="event, podcast or track.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="Labels")(labels)
    app.command(rich_help_panel="Labels")(lookup)


def labels(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="With --follow: first all that is there.")
    ] = False,
    kind: Annotated[Kind | None, typer.Option(help="Only this kind.")] = None,
    task: Annotated[str | None, typer.Option(help="Only this task.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many records.")] = None,
    as_json: Json = False,
) -> None:
    """Show the label topic: item, latency, labels with confidences, modalities used and missing.

    Without --follow it shows what is there and ends. With --follow it shows what comes from now on. The
    latency is from the item's arrival in Kafka to its labels' there. A yellow label is below its threshold.
    """
    run_reading(
        _labels(_Wanted(kind, task), limit, follow=follow, from_beginning=from_beginning, as_json=as_json)
    )


class _Wanted:
    """Which label messages are shown."""

    def __init__(self, kind: Kind | None, task: str | None) -> None:
        self._kind = kind
        self._task = task

    def __call__(self, found: Labelled | Removed) -> bool:
        about = found.record if isinstance(found, Labelled) else found
        return self._kind in (None, about.kind) and self._task in (None, about.task)


async def _labels(
    wanted: _Wanted, limit: int | None, *, follow: bool, from_beginning: bool, as_json: bool
) -> None:
    console = Console()
    shown = 0
    async with _messages(follow=follow, from_beginning=from_beginning) as messages:
        if follow and not as_json and not from_beginning:
            Console(stderr=True).print("waiting for labels, Ctrl-C ends", style="dim")
        async for message in messages:
            found = read_label(message)
            if isinstance(found, Unreadable):
                tell_unreadable(found)
            elif wanted(found):
                _show_label(console, found, message, as_json=as_json)
                shown += 1
                if shown == limit:
                    return


@asynccontextmanager
async def _messages(*, follow: bool, from_beginning: bool) -> AsyncIterator[AsyncIterator[ConsumerRecord]]:
    """Label messages: those that are there now, or also, or only, those that come."""
    if not follow:
        async with open_partition_reader(kafka_bootstrap(), [LABELS], kafka_login()) as reader:
            yield reader.topic(LABELS)
        return
    start = Start.BEGINNING if from_beginning else Start.END
    async with open_follower(kafka_bootstrap(), (LABELS.name,), start, kafka_login()) as follower:
        yield follower.new()


def _show_label(
    console: Console, found: Labelled | Removed, message: ConsumerRecord, *, as_json: bool
) -> None:
    if as_json:
        # The record as it is, so that no field of a newer schema is lost.
        if isinstance(found, Labelled):
            value = orjson.loads(message.value) | {"latency_s": round(found.latency_s, 3)}
        else:
            value = {"kind": found.kind, "id": found.item_id, "task": found.task, "removed": True}
        write_line(orjson.dumps(value).decode())
    elif isinstance(found, Labelled):
        print_line(console, label_line(found.record, found.latency_s))
    else:
        print_line(console, removal_line(found.kind, found.item_id, found.task))


def lookup(
    kind: KindArgument,
    item_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="The item's id.")] = None,
    label: Annotated[str | None, typer.Option(help="Instead of an id: the best items of a label.")] = None,
    top: Annotated[int, typer.Option(min=1, max=1000, help="With --label: how many items.")] = 10,
    task: Annotated[str | None, typer.Option(help="The task.  [default: all; with --label: genres]")] = None,
    as_json: Json = False,
) -> None:
    """Look up labels in Redis: those of one item, or the best items of a label.

    Exit status 1 when there are none.
    """
    if (item_id is None) == (label is None):
        raise typer.BadParameter("give an ID or --label, and not both", param_hint="ID")
    if item_id is not None:
        _lookup_item(kind, item_id, task, as_json=as_json)
    elif label is not None:
        _lookup_label(kind, label, task or "genres", top, as_json=as_json)


def _lookup_item(kind: Kind, item_id: str, task: str | None, *, as_json: bool) -> None:
    from genrestream.workers.cache import RedisCache  # noqa: PLC0415 - a help page needs no Redis client

    async def find(cache: RedisCache) -> dict[str, LabelRecord]:
        return await cache.lookup(kind, item_id)

    records = run_reading(_with_cache(find))
    found = [record for name, record in sorted(records.items()) if task in (None, name)]
    for record in found:
        if as_json:
            write_line(record.model_dump_json())
        else:
            latency_s = (record.labelled_at - record.arrived_at).total_seconds()
            print_line(Console(), label_line(record, latency_s))
    if not found:
        raise CommandError(f"no labels of {kind} {printable(item_id, 200)!r} in Redis")


def _lookup_label(kind: Kind, label: str, task: str, top: int, *, as_json: bool) -> None:
    from genrestream.workers.cache import RankedItem, RedisCache  # noqa: PLC0415

    async def find(cache: RedisCache) -> list[RankedItem]:
        return await cache.top(kind, task, label, top)

    ranked = run_reading(_with_cache(find))
    for item in ranked:
        if as_json:
            write_line(orjson.dumps({"id": item.item_id, "confidence": item.confidence}).decode())
        else:
            write_line(f"{item.confidence:.3f}  {printable(item.item_id, 200)}")
    if not ranked:
        raise CommandError(f"no {kind} in Redis has the label {printable(label, 200)!r} for the task {task}")


async def _with_cache(find: Any) -> Any:
    from genrestream.workers.cache import RedisCache  # noqa: PLC0415
    from genrestream.workers.errors import CacheUnavailableError  # noqa: PLC0415

    url = External.from_environment().redis_url or resolve_addresses().redis_url
    security = connection_security(redis_url=url).redis
    cache = RedisCache(url, security=security)
    try:
        return await find(cache)
    except CacheUnavailableError as error:
        raise CommandError(f"{without_credentials(url)}: {error}") from error
    finally:
        await cache.close()
