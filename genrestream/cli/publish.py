"""`genrestream publish`: send items, or removals, to the input topics."""

import asyncio
import sys
import uuid
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import orjson
import typer
from rich.console import Console
from typer.core import TyperGroup

from genrestream.cli.addresses import resolve_addresses
from genrestream.cli.errors import CommandError
from genrestream.cli.security import connection_security
from genrestream.client.items import ItemError, MediaForm, build_item
from genrestream.client.kafka_errors import KafkaUnavailableError
from genrestream.client.publish_file import PublishOptions, publish_file
from genrestream.client.publisher import Message, Publisher, item_message, removal_message
from genrestream.ops.state import External
from genrestream.schemas import Kind
from genrestream.schemas.items import MAX_ID_CHARS, MEDIA_FIELDS

Result = TypeVar("Result")

Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
AllScores = Annotated[bool, typer.Option("--all-scores", help="Ask for every label's confidence.")]
Force = Annotated[
    bool, typer.Option("--force", help="Label anew, also what has labels of the same content and release.")
]
Media = Annotated[
    MediaForm,
    typer.Option(
        help="How local files travel: as inline bytes, as a file:// reference that the workers can read "
        "(below their --media-root), or auto: inline up to 1 MiB, else a reference."
    ),
]
ItemIdentifier = Annotated[
    str | None,
    typer.Option("--id", help="Unique within the kind; also the Kafka key.  [default: a new one]"),
]
Title = Annotated[str | None, typer.Option(help="What it is called.")]
Description = Annotated[str | None, typer.Option(help="What it is about.")]


class _FileUnlessNamed(TyperGroup):
    """`publish FILE.jsonl` is `publish file FILE.jsonl`, as no kind of item is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Insert `file` where the first word is no subcommand and help is not asked for."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = ["file", *args]
        return list(super().parse_args(ctx, args))


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(
        cls=_FileUnlessNamed,
        no_args_is_help=True,
        help="Publish items: a file of them, one from flags, or a removal.\n\n"
        "`publish FILE.jsonl` is short for `publish file FILE.jsonl`; `publish file --help` has its options.",
    )
    group.command("file")(file)
    group.command("event")(event)
    group.command("podcast")(podcast)
    group.command("track")(track)
    group.command("remove")(remove)
    app.add_typer(group, name="publish", rich_help_panel="Labels")


def file(
    path: Annotated[
        str, typer.Argument(metavar="FILE.jsonl", help="One JSON object a line; - reads standard input.")
    ],
    kind: Annotated[
        Kind | None, typer.Option(help="Take only this kind, also for lines that do not say theirs.")
    ] = None,
    media: Media = MediaForm.AUTO,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many items.")] = None,
    rate: Annotated[str | None, typer.Option(metavar="N[/s]", help="At most so many items a second.")] = None,
    all_scores: AllScores = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Publish the items of a file, each to its kind's topic, and wait until Kafka has them all.

    Media paths are relative to the file; `labels` and `group` are dropped. A line that is no item is told on
    standard error with its number; the others are published, and the exit status is then 1.
    """
    options = PublishOptions(
        media=media, kind=kind, limit=limit, rate_per_s=_rate(rate), all_scores=all_scores, force=force
    )
    console = Console(stderr=True)
    try:
        source = sys.stdin.buffer if path == "-" else Path(path)
        summary = _run(lambda: publish_file(source, _bootstrap(), options, console, _login()))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from error
    if as_json:
        typer.echo(orjson.dumps(summary.to_json()).decode())
    else:
        typer.echo(summary.to_line())
    if summary.rejected:
        raise CommandError(f"{summary.rejected} of {summary.lines} lines of {path} were not published")


def event(
    item_id: ItemIdentifier = None,
    title: Title = None,
    description: Description = None,
    poster: Annotated[str | None, typer.Option(metavar="PATH-OR-URL", help="A picture.")] = None,
    media: Media = MediaForm.AUTO,
    all_scores: AllScores = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Publish one event from flags."""
    fields = {"id": item_id, "title": title, "description": description, "poster": poster}
    _publish_one(Kind.EVENT, fields, media, all_scores=all_scores, force=force, as_json=as_json)


def podcast(
    item_id: ItemIdentifier = None,
    title: Title = None,
    author: Annotated[str | None, typer.Option(help="Who makes it.")] = None,
    description: Description = None,
    cover: Annotated[str | None, typer.Option(metavar="PATH-OR-URL", help="A picture.")] = None,
    media: Media = MediaForm.AUTO,
    all_scores: AllScores = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Publish one podcast from flags."""
    fields = {"id": item_id, "title": title, "author": author, "description": description, "cover": cover}
    _publish_one(Kind.PODCAST, fields, media, all_scores=all_scores, force=force, as_json=as_json)


def track(
    item_id: ItemIdentifier = None,
    title: Title = None,
    artist: Annotated[str | None, typer.Option(help="Who plays it.")] = None,
    album: Annotated[str | None, typer.Option(help="What it is on.")] = None,
    lyrics: Annotated[str | None, typer.Option(help="What is sung; @FILE reads a text file.")] = None,
    audio: Annotated[str | None, typer.Option(metavar="PATH-OR-URL", help="A recording.")] = None,
    cover: Annotated[str | None, typer.Option(metavar="PATH-OR-URL", help="A picture.")] = None,
    media: Media = MediaForm.AUTO,
    all_scores: AllScores = False,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Publish one track from flags."""
    fields = {"id": item_id, "title": title, "artist": artist, "album": album, "lyrics": _text(lyrics)}
    _publish_one(
        Kind.TRACK,
        {**fields, "audio": audio, "cover": cover},
        media,
        all_scores=all_scores,
        force=force,
        as_json=as_json,
    )


def remove(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="event, podcast or track.")],
    item_id: Annotated[str, typer.Argument(metavar="ID", help="The item's id.")],
    as_json: Json = False,
) -> None:
    """Remove an item: its labels go from the label topic and from Redis."""
    if not item_id or len(item_id) > MAX_ID_CHARS or not item_id.isprintable():
        raise CommandError(f"an id has 1 to {MAX_ID_CHARS} printable characters")
    _send_one(removal_message(kind, item_id), item_id, "removed", as_json=as_json)


def _publish_one(
    kind: Kind,
    fields: dict[str, str | None],
    media: MediaForm,
    *,
    all_scores: bool,
    force: bool,
    as_json: bool,
) -> None:
    for field in MEDIA_FIELDS[kind].values():
        path = fields.get(field)
        if path is not None and "://" not in path and not Path(path).is_file():
            raise CommandError(f"--{field}: no file at {path}")
    given = {name: value for name, value in fields.items() if value is not None}
    if not set(given) - {"id"}:
        raise CommandError(
            f"nothing to label: give at least one of {', '.join(f'--{f}' for f in fields if f != 'id')}"
        )
    try:
        item = build_item({"kind": kind, "id": f"{kind}-{uuid.uuid4().hex[:12]}", **given}, Path.cwd(), media)
    except ItemError as error:
        raise CommandError(str(error)) from error
    _send_one(item_message(item, all_scores=all_scores, force=force), item.id, "published", as_json=as_json)


def _send_one(message: Message, item_id: str, done: str, *, as_json: bool) -> None:
    async def send() -> dict[str, Any]:
        async with Publisher(_bootstrap(), _login()) as publisher:
            stored = await (await publisher.send(message))
        return {
            "id": item_id,
            "topic": stored.topic,
            "partition": stored.partition,
            "offset": stored.offset,
        }

    stored = _run(send)
    if as_json:
        typer.echo(orjson.dumps(stored).decode())
    else:
        typer.echo(
            f"{done} {item_id}: {stored['topic']}, partition {stored['partition']}, offset {stored['offset']}"
        )


def _run(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    try:
        return asyncio.run(work())
    except KafkaUnavailableError as error:
        raise CommandError(str(error)) from error


def _bootstrap() -> str:
    """Publishing needs Kafka only, so that nothing else has to run or be named."""
    return External.from_environment().kafka_bootstrap or resolve_addresses().kafka_bootstrap


def _login() -> Mapping[str, Any]:
    return connection_security(kafka=True).kafka


def _rate(given: str | None) -> float | None:
    if given is None:
        return None
    try:
        rate = float(given.removesuffix("/s"))
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise typer.BadParameter(f"{given} is no number of items a second", param_hint="--rate")
    return rate


def _text(given: str | None) -> str | None:
    if given is None or not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--lyrics: cannot read {given[1:]} as text: {error}") from error
