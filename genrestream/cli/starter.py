"""`genrestream starter`: rebuild all starter models from the generated sample."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from genrestream.cli.encoders import EncoderSet
from genrestream.cli.encoders import build as build_encoders
from genrestream.cli.figures import figures_table
from genrestream.cli.one_line import one_line_errors
from genrestream.cli.progress import progress_bar, reporter

HEAD_ITEMS = 900
"""Items a kind that the heads are trained on: other ones than the encoders saw."""
HEAD_SEED = 11


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel="Models")(starter)


def starter(
    models: Annotated[Path, typer.Option(help="The model repository.", file_okay=False)] = Path(
        "triton_models"
    ),
    heads_only: Annotated[
        bool, typer.Option("--heads-only", help="Keep the starter encoders that are there.")
    ] = False,
) -> None:
    """Rebuild the starter models, encoders and heads, from a generated sample; the heads go live.

    They are what the repository comes with; some minutes on two cores. Nothing is downloaded.
    """
    from genrestream.sample import SET_NAMES  # noqa: PLC0415 - Pillow and FFmpeg take half a second

    if not heads_only:
        build_encoders(encoder_set=EncoderSet.STARTER, models=models)
    with one_line_errors(), _sets() as folder, progress_bar() as bar:
        from genrestream.training.starter_heads import train_starter_heads  # noqa: PLC0415 - imports torch

        sets = {kind: folder / name for kind, name in SET_NAMES.items()}
        done = train_starter_heads(sets, models, folder / "embeddings", lambda kind: reporter(bar, kind))
    console = Console()
    for trained, release in done:
        rows = {"head": trained.evaluation.head, **trained.evaluation.baselines, **trained.evaluation.slices}
        console.print(figures_table(f"{release.model} version {release.version}, live", rows))


@contextmanager
def _sets() -> Iterator[Path]:
    from genrestream.sample import generate  # noqa: PLC0415 - Pillow and FFmpeg take half a second

    with TemporaryDirectory(prefix="genrestream-") as folder:
        Console(stderr=True).print(f"generating {HEAD_ITEMS} items of each kind", highlight=False)
        generate(Path(folder), HEAD_ITEMS, HEAD_SEED)
        yield Path(folder)
