"""`genrestream encoders`: make encoders from published weights, by name or path, or from nothing; list them.

`fine-tune` stands in `fine_tune`.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from genrestream.cli import fine_tune
from genrestream.cli.errors import CommandError
from genrestream.cli.progress import progress_bar, reporter
from genrestream.repository import Repository, RepositoryError
from genrestream.schemas import Modality
from genrestream.training.errors import TrainingError

if TYPE_CHECKING:
    # PyAV and the tokenizers come with them: a tenth of a second that every other command would pay.
    from genrestream.training.encoders.build import Builder, Built
    from genrestream.training.encoders.examples import Examples

SAMPLE_ITEMS = 60
"""Items a kind that encoders are checked with: some 130 pictures, 55 recordings, 150 texts."""
SAMPLE_SEED = 1
STARTER_ITEMS = 1200
"""Items a kind that the starter encoders are trained on."""
STARTER_SEED = 7

encoders = typer.Typer(
    no_args_is_help=True, help="Encoders: what turns pictures, texts and music into embeddings."
)


class EncoderSet(StrEnum):
    """Encoders that belong together."""

    PRETRAINED = "pretrained"
    STARTER = "starter"


Models = Annotated[Path, typer.Option(help="The model repository.", file_okay=False)]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    fine_tune.register(encoders)
    app.add_typer(encoders, name="encoders", rich_help_panel="Models")


@encoders.command()
def build(
    encoder_set: Annotated[
        EncoderSet | None,
        typer.Argument(
            metavar="[pretrained|starter]",
            help="pretrained (the default): EfficientNet-Lite0, E5-small-v2 and musicnn, whose weights "
            "`make setup-training` fetched. starter: small ones, trained here on a generated sample.",
            show_default=False,
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="A picture encoder: timm:NAME[:WEIGHTS], torchvision:NAME[:WEIGHTS], hf:NAME_OR_PATH.",
        ),
    ] = None,
    text: Annotated[str | None, typer.Option(metavar="SPEC", help="A text encoder: hf:NAME_OR_PATH.")] = None,
    audio: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="An audio encoder: musicnn:NAME_OR_PATH, timm:NAME:WEIGHTS (on log-mel patches).",
        ),
    ] = None,
    models: Models = Path("triton_models"),
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Pictures, recordings and texts to calibrate and check with, instead of generated ones.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list instead of a table.")] = False,
) -> None:
    """Make encoders, check them, and add them to the model repository."""
    named = {Modality.IMAGE: image, Modality.TEXT: text, Modality.AUDIO: audio}
    specs = {modality: spec for modality, spec in named.items() if spec}
    if specs and encoder_set:
        raise CommandError(
            "name either pretrained or starter, or single encoders with --image, --text, --audio"
        )
    from genrestream.training.encoders.build import pretrained_builders  # noqa: PLC0415 - see above
    from genrestream.training.encoders.examples import find_examples  # noqa: PLC0415

    with _one_line_errors(), TemporaryDirectory(prefix="genrestream-") as folder:
        if encoder_set is EncoderSet.STARTER:
            builders = _starter_builders(Path(folder))
            examples = find_examples(Path(folder))
        else:
            builders = _named_builders(specs) if specs else pretrained_builders()
            examples = _examples(calibrate, Path(folder))
        built = _build_all(builders, models, examples)
    _print_built(built, as_json=as_json)


def build_pretrained(models: Path) -> None:
    """Build the pretrained encoders into a repository that lacks one of them; for other commands."""
    with _one_line_errors():
        if models.is_dir() and {each.modality for each in Repository(models).encoders()} >= set(Modality):
            return
        from genrestream.training.encoders.build import pretrained_builders  # noqa: PLC0415 - imports torch

        with TemporaryDirectory(prefix="genrestream-") as folder:
            _build_all(pretrained_builders(), models, _examples(None, Path(folder)))


@encoders.command("list")
def list_encoders(
    models: Models = Path("triton_models"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list instead of a table.")] = False,
) -> None:
    """The encoders in the model repository."""
    try:
        records = Repository(models).encoders()
    except RepositoryError as error:
        raise CommandError(str(error)) from error
    if as_json:
        typer.echo(json.dumps([record.model_dump(mode="json") for record in records]))
        return
    table = _table("encoder", "version", "dimensions", "built", "licence", "source")
    for record in records:
        table.add_row(
            record.model,
            str(record.version),
            str(record.embedding_dim),
            f"{record.created_at:%Y-%m-%d}",
            record.licence,
            record.source,
        )
    Console().print(table)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """What can go wrong while building, for people."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = f"{error.name} is not installed"
        raise CommandError(
            f"{missing}; building encoders needs the training extra: make setup-training"
        ) from error
    except (TrainingError, RepositoryError) as error:
        raise CommandError(str(error)) from error


def _named_builders(specs: dict[Modality, str]) -> "Sequence[Builder]":
    from genrestream.training.encoders.named import builder_of, parse_named  # noqa: PLC0415 - imports torch

    return [builder_of(parse_named(modality, spec)) for modality, spec in specs.items()]


def _starter_builders(folder: Path) -> "Sequence[Builder]":
    from genrestream.sample import SET_NAMES, generate  # noqa: PLC0415 - Pillow and FFmpeg take half a second
    from genrestream.training.encoders.starter import starter_builders  # noqa: PLC0415 - imports torch

    _note(f"generating {STARTER_ITEMS} items of each kind to train on")
    generate(folder, STARTER_ITEMS, STARTER_SEED)
    return starter_builders([folder / name for name in SET_NAMES.values()], STARTER_SEED)


def _examples(calibrate: Path | None, folder: Path) -> "Examples":
    """The user's examples, and generated ones of what those lack."""
    from genrestream.sample import generate  # noqa: PLC0415 - Pillow and FFmpeg take half a second
    from genrestream.training.encoders.examples import Examples, find_examples  # noqa: PLC0415

    given = find_examples(calibrate) if calibrate else Examples()
    if given.pictures and given.recordings and given.texts:
        return given
    _note("generating examples to check the encoders with")
    generate(folder, SAMPLE_ITEMS, SAMPLE_SEED)
    generated = find_examples(folder)
    return replace(
        generated,
        pictures=given.pictures or generated.pictures,
        recordings=given.recordings or generated.recordings,
        texts=given.texts or generated.texts,
    )


def _build_all(builders: "Sequence[Builder]", models: Path, examples: "Examples") -> "list[Built]":
    from genrestream.training.encoders.build import build_encoder  # noqa: PLC0415 - see above

    built = []
    with progress_bar() as bar:
        for number, builder in enumerate(builders, start=1):
            built.append(
                build_encoder(
                    builder, models, examples, reporter(bar, f"encoder {number} of {len(builders)}:")
                )
            )
    return built


def _note(text: str) -> None:
    Console(stderr=True).print(text, highlight=False)


def _print_built(built: "Sequence[Built]", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([_as_object(one) for one in built]))
        return
    table = _table("encoder", "version", "dimensions", "size", "an item, one thread", "built in")
    for one in built:
        table.add_row(
            one.record.model,
            f"{one.record.version}{' (as it was)' if one.unchanged else ''}",
            str(one.record.embedding_dim),
            f"{one.size_bytes / 1e6:.2f} MB",
            f"{one.cost_ms:.2f} ms",
            f"{one.build_s:.0f} s",
        )
    console = Console()
    console.print(table)
    for one in built:
        console.print(f"\n{one.record.model} passed:", highlight=False)
        for check in one.checks:
            console.print(f"  {check}", highlight=False)


def _table(*titles: str) -> Table:
    """Plain columns, whose last one gives way where the terminal is narrow."""
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=title != titles[-1])
    return table


def _as_object(one: "Built") -> dict[str, object]:
    record = one.record
    return {
        "model": record.model,
        "version": record.version,
        "modality": record.modality,
        "embedding_dim": record.embedding_dim,
        "size_bytes": one.size_bytes,
        "cost_ms": round(one.cost_ms, 3),
        "build_s": round(one.build_s, 1),
        "unchanged": one.unchanged,
        "checks": [asdict(check) for check in one.checks],
    }
