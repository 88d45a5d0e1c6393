"""`genrestream encoders fine-tune`: an encoder learns from the labels of catalogue sets."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from genrestream.cli.device import Device, device_of
from genrestream.cli.errors import CommandError
from genrestream.cli.one_line import one_line_errors
from genrestream.cli.progress import progress_bar, reporter
from genrestream.schemas import Kind, Modality
from genrestream.schemas.taxonomy import AS_GIVEN
from genrestream.training.fine_tune.settings import (
    MAX_BATCH_ITEMS,
    MAX_EPOCHS,
    MAX_RATE,
    MIN_RATE,
    RATES,
    Blocks,
    TuneSettings,
)
from genrestream.training.launch import launched
from genrestream.training.skipped import IN_WORDS

if TYPE_CHECKING:
    from genrestream.training.fine_tune.tune import Tuned

DEFAULTS = TuneSettings()
DEFAULT_RATES = ", ".join(f"{rate:g} for {modality}" for modality, rate in RATES.items())


def register(group: typer.Typer) -> None:
    """Add the command to the group `encoders`."""
    group.command("fine-tune")(fine_tune)


def fine_tune(
    sets: Annotated[
        list[Path], typer.Argument(metavar="SET_DIR...", help="Catalogue sets: folders with items.jsonl.")
    ],
    kind: Annotated[Kind, typer.Option(help="Of which items.")],
    task: Annotated[str, typer.Option(help="The key in `labels` to learn.")],
    image: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="The picture encoder: pretrained (EfficientNet-Lite0), timm:NAME[:WEIGHTS], "
            "torchvision:NAME[:WEIGHTS], hf:NAME_OR_PATH.",
        ),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="The text encoder: pretrained (E5-small-v2), hf:NAME_OR_PATH."),
    ] = None,
    audio: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="The audio encoder: timm:NAME:WEIGHTS (on log-mel patches)."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="NAME", help="The tuned encoder's name; by default ENCODER-tuned-KIND-TASK."
        ),
    ] = None,
    blocks: Annotated[
        Blocks,
        typer.Option(help="last: the last third of the encoder's blocks; all: these, then all of them."),
    ] = DEFAULTS.blocks,
    epochs: Annotated[
        int, typer.Option(min=1, max=MAX_EPOCHS, help="At most, of either stage; each stops early.")
    ] = DEFAULTS.epochs,
    batch: Annotated[
        int, typer.Option(min=2, max=MAX_BATCH_ITEMS, help="Items a step.")
    ] = DEFAULTS.batch_items,
    rate: Annotated[
        float | None,
        typer.Option(
            min=MIN_RATE, max=MAX_RATE, help=f"Of the last block's steps; by default {DEFAULT_RATES}."
        ),
    ] = None,
    min_items: Annotated[int, typer.Option(min=2, help="Training items that a label needs.")] = 10,
    taxonomy: Annotated[str, typer.Option(help="The canonical labels to map to.")] = AS_GIVEN,
    source: Annotated[str, typer.Option(help="Whose labels these are, for a taxonomy's map.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of the split and the training.")] = 0,
    split: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The split.json of an earlier candidate or release, used again."),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where the encoder is trained.")] = Device.AUTO,
    models: Annotated[Path, typer.Option(help="The model repository.", file_okay=False)] = Path(
        "triton_models"
    ),
    store: Annotated[
        Path, typer.Option(help="Where features and embeddings are kept between trainings.", file_okay=False)
    ] = Path(".genrestream/embeddings"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Tune one encoder on the labels of catalogue sets, and add it to the model repository.

    It learns from the train fold of the very split that `train` makes with the same options, and stops by the
    calibration fold; heads over it have to be trained on the same split, which lies beside it.
    """
    modality, spec = _one_of({Modality.IMAGE: image, Modality.TEXT: text, Modality.AUDIO: audio})
    with one_line_errors():
        from genrestream.training.fine_tune.tune import TuneRequest  # noqa: PLC0415 - imports torch
        from genrestream.training.fine_tune.tune import fine_tune as tune_encoder  # noqa: PLC0415
        from genrestream.training.fit_loop import FitSettings  # noqa: PLC0415
        from genrestream.training.processes import joined  # noqa: PLC0415
        from genrestream.training.request import TrainRequest  # noqa: PLC0415

        training = TrainRequest(
            sets=sets,
            kind=kind,
            task=task,
            served_as=task,
            models=models,
            store=store,
            min_items=min_items,
            taxonomy=taxonomy,
            source=source,
            split=split,
            fit=FitSettings(seed=seed, device=device_of(device)),
        )
        settings = TuneSettings(blocks=blocks, epochs=epochs, batch_items=batch, rate=rate)
        with joined(training.fit.device), progress_bar(shown=launched().first) as bar:
            tuned = tune_encoder(TuneRequest(training, modality, spec, name, settings), reporter(bar))
    if as_json:
        typer.echo(json.dumps(_as_object(tuned)))
        return
    options = f"--kind {kind} --task {task} --models {models}"
    _show(tuned, f"genrestream train {' '.join(map(str, sets))} {options}")


def _one_of(specs: dict[Modality, str | None]) -> tuple[Modality, str]:
    given = [(modality, spec) for modality, spec in specs.items() if spec]
    if len(given) != 1:
        raise CommandError("name one encoder to tune: --image pretrained, --text pretrained, or another SPEC")
    return given[0]


def _show(tuned: "Tuned", train_command: str) -> None:
    record = tuned.built.record
    console = Console()
    table = Table(
        title=f"A linear layer over {record.model} on the test fold",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("", no_wrap=True)
    for title in ("items", "mAP", "top-1"):
        table.add_column(title, justify="right", no_wrap=True)
    for name, found in tuned.figures.items():
        table.add_row(name, str(found.items), f"{found.mean_ap:.3f}", f"{found.top1:.3f}")
    console.print(table)
    for stage in tuned.stages:
        losses = " ".join(f"{loss:.3f}" for loss in stage.curves.validation)
        kept = f"epoch {stage.kept_epoch} kept" if stage.kept_epoch else "no epoch better"
        console.print(f"{stage.name}: {kept}, validation losses {losses}", highlight=False)
    if tuned.unreadable:
        console.print(f"{IN_WORDS['unreadable_media']}: {tuned.unreadable}", highlight=False)
    for check in tuned.built.checks:
        console.print(f"passed: {check}", highlight=False)
    unchanged = " (as it was)" if tuned.built.unchanged else ""
    console.print(
        f"encoder: {record.model} version {record.version}{unchanged}, {record.source}",
        highlight=False,
        soft_wrap=True,
    )
    encoders = ",".join([record.model, *tuned.companions])
    split = os.path.relpath(tuned.split)
    console.print(
        f"next: {train_command} --encoders {encoders} --split {split}", highlight=False, soft_wrap=True
    )


def _as_object(tuned: "Tuned") -> dict[str, Any]:
    record, built, prepared = tuned.built.record, tuned.built, tuned.prepared
    return {
        "encoder": record.model,
        "version": record.version,
        "unchanged": built.unchanged,
        "modality": record.modality,
        "embedding_dim": record.embedding_dim,
        "source": record.source,
        "split": str(tuned.split),
        "companions": list(tuned.companions),
        "test": {name: found.as_dict() for name, found in tuned.figures.items()},
        "stages": [stage.as_dict() for stage in tuned.stages],
        "checks": {check.name: check.value for check in built.checks},
        "size_bytes": built.size_bytes,
        "cost_ms": round(built.cost_ms, 3),
        "labels": list(prepared.targets.labels),
        "labels_left_out": prepared.targets.left_out,
        "unreadable_media": tuned.unreadable,
        "near_duplicates_joined": prepared.clusters.counts(),
        "frozen_split": prepared.frozen.counts() if prepared.frozen else None,
    }
