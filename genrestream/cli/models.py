"""`genrestream train` and `evaluate`; `release`, `releases` and `rollback` stand in `releasing`."""

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from genrestream.cli import releasing, starter
from genrestream.cli.device import Device, device_of
from genrestream.cli.figures import figures_table, sets_table
from genrestream.cli.one_line import one_line_errors
from genrestream.cli.progress import progress_bar, reporter
from genrestream.cli.recipes import RECIPE_HELP, show_compared
from genrestream.cli.runs import RunsOption
from genrestream.repository import Repository
from genrestream.repository.atomic import write_atomically
from genrestream.schemas import Kind
from genrestream.schemas.releases import Release
from genrestream.schemas.taxonomy import AS_GIVEN
from genrestream.training.errors import TrainingError
from genrestream.training.launch import launched
from genrestream.training.runs.recording import recording
from genrestream.training.skipped import IN_WORDS
from genrestream.training.split import MAX_MEASURED_ITEMS

if TYPE_CHECKING:
    from genrestream.training.request import TrainRequest
    from genrestream.training.train import Trained

EMBEDDINGS = Path(".genrestream/embeddings")

Sets = Annotated[
    list[Path], typer.Argument(metavar="SET_DIR...", help="Catalogue sets: folders with items.jsonl.")
]
Models = Annotated[Path, typer.Option(help="The model repository.", file_okay=False)]
Store = Annotated[Path, typer.Option(help="Where embeddings are kept between trainings.", file_okay=False)]
Source = Annotated[str, typer.Option(help="Whose labels these are, for a taxonomy's map.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


class AimName(StrEnum):
    """What thresholds are chosen for."""

    MICRO_F1 = "micro-f1"
    MACRO_F1 = "macro-f1"
    PRECISION = "precision"


class LossChoice(StrEnum):
    """What the training makes small."""

    BCE = "bce"
    ASYMMETRIC = "asymmetric"
    CLASS_BALANCED = "class-balanced"
    DISTRIBUTION_BALANCED = "distribution-balanced"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(rich_help_panel="Models")(train)
    app.command(rich_help_panel="Models")(evaluate)
    releasing.register(app)
    starter.register(app)


def train(
    sets: Sets,
    kind: Annotated[Kind, typer.Option(help="Of which items.")],
    task: Annotated[str, typer.Option(help="The key in `labels` to learn.")],
    served_as: Annotated[
        str | None, typer.Option("--as", metavar="NAME", help="The served task's name. [default: TASK]")
    ] = None,
    models: Models = Path("triton_models"),
    encoders: Annotated[
        str,
        typer.Option(help="auto (pretrained, else starter), pretrained, starter, or names with commas."),
    ] = "auto",
    min_items: Annotated[int, typer.Option(min=2, help="Training items that a label needs.")] = 10,
    aim: Annotated[AimName, typer.Option(help="What thresholds are chosen for.")] = AimName.MICRO_F1,
    precision: Annotated[
        float, typer.Option(min=0.05, max=0.95, help="The floor of `--aim precision`.")
    ] = 0.7,
    taxonomy: Annotated[str, typer.Option(help="The canonical labels to map to.")] = AS_GIVEN,
    source: Source = "",
    term_buckets: Annotated[
        int | None,
        typer.Option(min=64, max=1 << 20, help="Hash buckets for words, and for characters as many."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split and the training.")] = 0,
    epochs: Annotated[int, typer.Option(min=1, max=1000, help="At most; training stops early.")] = 16,
    split: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The split.json of an earlier candidate or release, used again."),
    ] = None,
    loss: Annotated[
        LossChoice, typer.Option(help="What is made small; another than bce is used only if it beats bce.")
    ] = LossChoice.BCE,
    device: Annotated[Device, typer.Option(help="Where the head is trained.")] = Device.AUTO,
    recipe: Annotated[str | None, typer.Option(metavar="NAME|FILE.yaml", help=RECIPE_HELP)] = None,
    read_pictures: Annotated[
        bool,
        typer.Option(
            "--read-pictures",
            help="Learn what the text in a picture is worth to items without another (by RapidOCR, a quarter "
            "of a second of a core a picture).",
        ),
    ] = False,
    store: Store = EMBEDDINGS,
    runs: RunsOption = None,
    as_json: Json = False,
) -> None:
    """Train a head for one kind and task: a candidate, which `genrestream release` makes live.

    Items are split by group, and groups that share a near-duplicate stay together. Embeddings are computed
    once and kept. A head that collapsed is an error, and nothing is written then.

    Started by torchrun, several processes or machines each compute a share of the embeddings; of a recipe's
    training they share each batch.
    """
    with one_line_errors(), recording(runs if launched().first else None) as run:
        from genrestream.training.fit_loop import FitSettings  # noqa: PLC0415 - imports torch
        from genrestream.training.losses import LossName  # noqa: PLC0415
        from genrestream.training.processes import joined  # noqa: PLC0415
        from genrestream.training.request import TrainRequest  # noqa: PLC0415
        from genrestream.training.thresholds import Aim  # noqa: PLC0415
        from genrestream.training.train import train as train_head  # noqa: PLC0415

        request = TrainRequest(
            sets=sets,
            kind=kind,
            task=task,
            served_as=served_as or task,
            models=models,
            store=store,
            encoders=encoders,
            min_items=min_items,
            aim=Aim(aim),
            precision_floor=precision,
            word_buckets=term_buckets,
            read_pictures=read_pictures,
            taxonomy=taxonomy,
            source=source,
            split=split,
            fit=FitSettings(epochs=epochs, loss=LossName(loss), seed=seed, device=device_of(device)),
        )
        run.asked(request, recipe)
        if recipe is None:
            # Embeddings are computed and handed over on the CPU.
            with joined("cpu"), progress_bar(shown=launched().first) as bar:
                trained = train_head(request, reporter(bar))
        else:
            trained = _train_recipe(request, recipe)
        run.found(trained.candidate, trained.seconds)
    if as_json:
        typer.echo(json.dumps(_as_object(trained)))
    else:
        _show(trained, models)


def _train_recipe(request: "TrainRequest", recipe: str) -> "Trained":
    from genrestream.training.processes import joined  # noqa: PLC0415 - imports torch
    from genrestream.training.recipes.spec import load_recipe  # noqa: PLC0415
    from genrestream.training.recipes.train import train_recipe  # noqa: PLC0415 - imports torch

    spec = load_recipe(recipe)
    shown = launched().first
    console = Console(stderr=True, quiet=not shown)
    console.print(spec.describe(), highlight=False, soft_wrap=True)
    with joined(request.fit.device), progress_bar(shown=shown) as bar:
        trained = train_recipe(request, spec, reporter(bar))
    show_compared(trained, console)
    return trained


def evaluate(
    head: Annotated[str, typer.Argument(metavar="HEAD", help="KIND-TASK, such as podcast-genres.")],
    sets: Sets,
    task: Annotated[str | None, typer.Option(help="The key in `labels`. [default: the head's task]")] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="A released version. [default: the newest candidate or live]")
    ] = None,
    models: Models = Path("triton_models"),
    source: Source = "",
    store: Store = EMBEDDINGS,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Write the report page there.")
    ] = None,
    most_items: Annotated[
        int,
        typer.Option(min=1, help="Of more, whole groups are drawn by chance: memory is bounded by it."),
    ] = MAX_MEASURED_ITEMS,
    as_json: Json = False,
) -> None:
    """Measure a head on the items of sets that its training never saw, through its served graph."""
    with one_line_errors():
        from genrestream.training.judge import judge  # noqa: PLC0415 - loads ONNX Runtime

        repository = Repository(models)
        directory, release = _chosen(repository, head, version)
        with progress_bar() as bar:
            judgement = judge(
                repository,
                directory,
                release,
                sets,
                task or release.task,
                store,
                source,
                reporter(bar),
                most_items,
            )
        if html is not None:
            from genrestream.training.report.sources import judgement_page  # noqa: PLC0415 - loads matplotlib

            _write(html, judgement_page(repository, directory, release, judgement))
    rows = {"head": judgement.head, **judgement.slices, "all zeros": judgement.all_zeros}
    if as_json:
        figures = {name: found.as_dict() for name, found in rows.items()}
        shown = {
            "left_out": judgement.left_out,
            "not_drawn": judgement.not_drawn,
            "unknown_labels": judgement.unknown_labels,
        }
        typer.echo(json.dumps({"head": head, **shown, "figures": figures, "sets": judgement.sets.as_dict()}))
        return
    left_out = f"{judgement.left_out} of its training or nearly the same left out"
    title = f"{head}, {judgement.head.items} items; {left_out}"
    console = Console()
    console.print(figures_table(title, rows))
    if judgement.not_drawn:
        console.print(f"{judgement.not_drawn} more items not measured: --most-items is {most_items}")
    console.print(sets_table("The sets of labels that items are given", {"head": judgement.sets}))
    if judgement.unknown_labels:
        unknown = ", ".join(judgement.unknown_labels)
        console.print(f"labels that the source never gives, not measured: {unknown}", highlight=False)


def _write(path: Path, page: bytes) -> None:
    try:
        write_atomically(path, page)
    except OSError as error:
        raise TrainingError(f"cannot write {path}: {error.strerror}") from error


def _chosen(repository: Repository, head: str, version: int | None) -> tuple[Path, Release]:
    if version is not None:
        found = [release for release in repository.releases(head) if release.version == version]
        if not found:
            raise TrainingError(f"no version {version} of {head} in {repository.root}")
        return repository.version_dir(found[-1].model, version), found[-1]
    for choice in repository.newest():
        if f"{choice.release.kind}-{choice.release.task}" == head:
            return choice.directory, choice.release
    heads = repository.heads()
    if head in heads:
        raise TrainingError(f"{head} is retired: say with --version which one")
    there = ", ".join(heads) or "none"
    raise TrainingError(f"no head {head} in {repository.root} (there are: {there})")


def _show(trained: "Trained", models: Path) -> None:
    from genrestream.training.gates import describe  # noqa: PLC0415 - heavy

    release, evaluation = trained.candidate.release, trained.evaluation
    head = f"{release.kind}-{release.task}"
    console = Console()
    seconds = sum(trained.seconds.values())
    title = (
        f"{head}: {len(release.labels)} labels, {sum(release.trained_on.values())} items, "
        f"test fold of {evaluation.head.items}, {seconds:.0f} s"
    )
    rows = {"head": evaluation.head, **evaluation.baselines}
    console.print(figures_table(title, rows))
    if len(evaluation.slices) > 1:
        console.print(figures_table("The head with some modalities only", evaluation.slices))
    if trained.loss_gate is not None:
        fared = "is used, better than" if trained.loss_gate.passed else "is not used, it does not beat"
        console.print(f"the loss asked for {fared} {describe(trained.loss_gate)}", highlight=False)
    for gate in release.gates:
        if not gate.passed:
            console.print(f"not passed: {describe(gate)}", highlight=False)
    clusters, frozen = trained.prepared.clusters, trained.prepared.frozen
    notes = {
        **{IN_WORDS[name]: count for name, count in trained.skipped.items()},
        "items that the split does not name": frozen.not_named if frozen else 0,
        "items of the split that the sets do not have": frozen.not_there if frozen else 0,
        "contents that too many groups share, joined to nothing": clusters.left_apart,
    }
    if clusters.joined:
        joined = f"{clusters.joined_items} items in {clusters.joined} clusters"
        console.print(f"near-duplicates joined over groups: {joined}", highlight=False)
    if trained.picture_text_ms is not None:
        console.print(
            f"reading the text in a picture: {trained.picture_text_ms:.0f} ms of a core", highlight=False
        )
    for what, count in notes.items():
        if count:
            console.print(f"{what}: {count}", highlight=False)
    console.print(
        f"candidate: {os.path.relpath(trained.candidate.directory)}", highlight=False, soft_wrap=True
    )
    console.print(f"report: {os.path.relpath(trained.page)}", highlight=False, soft_wrap=True)
    console.print(f"next: genrestream release {head} --models {models}", highlight=False, soft_wrap=True)


def _as_object(trained: "Trained") -> dict[str, Any]:
    evaluation, prepared = trained.evaluation, trained.prepared
    return {
        "head": f"{trained.candidate.release.kind}-{trained.candidate.release.task}",
        "candidate": str(trained.candidate.directory),
        "report": str(trained.page),
        "labels": list(trained.candidate.release.labels),
        "test": evaluation.head.as_dict(),
        "baselines": {name: found.as_dict() for name, found in evaluation.baselines.items()},
        "slices": {name: found.as_dict() for name, found in evaluation.slices.items()},
        "gates": [gate.model_dump(mode="json") for gate in trained.candidate.release.gates],
        **trained.skipped,
        "near_duplicates_joined": prepared.clusters.counts(),
        "frozen_split": prepared.frozen.counts() if prepared.frozen else None,
        "seconds": {name: round(value, 2) for name, value in trained.seconds.items()},
    }
