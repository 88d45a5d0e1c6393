"""`genrestream classify`: label a file without any server."""

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genrestream.cli.errors import CommandError
from genrestream.client.items import BadLine, MediaForm, read_items
from genrestream.schemas import Item, LabelRecord
from genrestream.workers.errors import Rejected

if TYPE_CHECKING:
    from genrestream.workers.picture_reader import PictureReader

WINDOW_ITEMS = 64
"""Items labelled together; their records are written before the next window is read."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Labels")(classify)


def classify(
    file: Annotated[Path, typer.Argument(help="Items, one JSON object a line; media paths relative to it.")],
    models: Annotated[Path, typer.Option(help="The model repository.")] = Path("triton_models"),
    all_scores: Annotated[bool, typer.Option("--all-scores", help="Add every label's confidence.")] = False,
    task: Annotated[list[str] | None, typer.Option(help="Only this task; may be given again.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many items.")] = None,
    read_pictures: Annotated[
        bool,
        typer.Option(
            "--read-pictures",
            help="Of items without a text, read what stands in the picture, where the head knows such texts.",
        ),
    ] = False,
) -> None:
    """Label the items of FILE.jsonl: the worker's path without Kafka, Redis or Triton.

    One label record a line goes to standard output, in the order of the items; what cannot be labelled is
    told on standard error, and the exit status is then 1. Of each head in the model repository the version is
    used that was trained, released or rolled back to last; standard error names them.
    """
    from genrestream.workers.classify import ClassifyError  # noqa: PLC0415 - loads ONNX Runtime

    try:
        file.stat()  # A missing file is told at once, before a second goes into loading models.
        failed = asyncio.run(
            _classify(
                file.absolute(),
                models,
                tuple(task or ()),
                limit,
                all_scores=all_scores,
                read_pictures=read_pictures,
            )
        )
    except ClassifyError as error:
        raise CommandError(str(error)) from error
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from error
    if failed:
        raise CommandError(f"{failed} items were not labelled")


async def _classify(
    file: Path,
    models: Path,
    tasks: tuple[str, ...],
    limit: int | None,
    *,
    all_scores: bool,
    read_pictures: bool,
) -> int:
    """Write the records; return how many items have none."""
    from genrestream.workers.classify import Classifier  # noqa: PLC0415
    from genrestream.workers.media import MediaFetcher  # noqa: PLC0415
    from genrestream.workers.media_limits import MediaLimits  # noqa: PLC0415

    failed = 0
    async with AsyncExitStack() as stack:
        media = await stack.enter_async_context(MediaFetcher(MediaLimits(), allowed_root=file.parent))
        reader = await stack.enter_async_context(_picture_reader()) if read_pictures else None
        classifier = await stack.enter_async_context(Classifier(models, media, tasks, reader))
        for choice in classifier.choices:
            state = (
                f"trained {choice.release.created_at:%Y-%m-%d %H:%M}, not released" if choice.run else "live"
            )
            _tell(f"{choice.release.kind} {choice.release.task}: {choice.release.model} ({state})")
        lines = iter(islice(read_items(file, media=MediaForm.FILE), limit))
        for window in _windows(lines):
            for bad in (line for line in window if isinstance(line, BadLine)):
                failed += 1
                _tell(f"{file.name}:{bad.number}: {bad.message}")
            items = [line for line in window if not isinstance(line, BadLine)]
            results = await classifier.classify(items, all_scores=all_scores)
            failed += _write(items, results)
    return failed


def _picture_reader() -> "PictureReader":
    from genrestream.workers.classify import ClassifyError  # noqa: PLC0415
    from genrestream.workers.errors import FeaturesImpossibleError  # noqa: PLC0415
    from genrestream.workers.picture_reader import PictureReader, ReaderLimits  # noqa: PLC0415

    try:
        # Nobody waits for the next item: a window's pictures may take their time.
        return PictureReader(ReaderLimits(processes=os.cpu_count() or 1, deadline_s=60.0))
    except FeaturesImpossibleError as error:
        raise ClassifyError(str(error)) from error


def _windows(lines: Iterator[Item | BadLine]) -> Iterator[list[Item | BadLine]]:
    while window := list(islice(lines, WINDOW_ITEMS)):
        yield window


def _write(items: Sequence[Item], results: Sequence[list[LabelRecord] | Rejected]) -> int:
    """Write the records of a window; return how many items have none."""
    failed = 0
    for item, result in zip(items, results, strict=True):
        if isinstance(result, Rejected):
            failed += 1
            _tell(f"{item.kind} {item.id}: {result.code}: {result.message}")
            continue
        for record in result:
            sys.stdout.write(record.model_dump_json() + "\n")
    sys.stdout.flush()
    return failed


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
