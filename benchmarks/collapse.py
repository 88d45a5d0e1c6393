"""`python -m benchmarks.collapse SET`: why the published MFCC network predicts nothing, and what cures it.

The recipe `track_mfcc_cnn_published` is trained again with one change at a time, on the same items and with
the same seed. docs/collapse.md discusses the table that this prints.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from genrestream.schemas import Kind, Modality
from genrestream.training.baselines import prior_only
from genrestream.training.fit_loop import FitSettings
from genrestream.training.metrics import mean_average_precision, micro_f1, top_k_hits
from genrestream.training.prepare import labelled
from genrestream.training.recipes.branches import branch_features
from genrestream.training.recipes.compare import FittedNetwork, fit_compared
from genrestream.training.recipes.data import RecipeRows, read_rows
from genrestream.training.recipes.mfcc_cnn import MfccEncoder
from genrestream.training.recipes.spec import RecipeSpec, load_recipe
from genrestream.training.request import TrainRequest
from genrestream.training.split import Fold, Split
from genrestream.training.thresholds import Aim, choose_thresholds

PUBLISHED = "track_mfcc_cnn_published"
PUBLISHED_THRESHOLD = 0.5
DEAD_ON_ITEMS = 64
MAX_TEXT_CHARS = 20_000

Change = Mapping[str, Mapping[str, Any]]
"""Keys of the recipe's parts: `branch`, `balance`, `fit` or `recipe` itself."""

NO_WEIGHTS = {"rebalanced": False, "class_weights": False}
AS_THEY_ARE = {**NO_WEIGHTS, "by_label": False, "most_per_pair": None}
CURED: Change = {"branch": {"standardise": True}, "balance": NO_WEIGHTS, "recipe": {"prior_bias": True}}
"""What `track_mfcc_cnn` has otherwise, but for the labels, and the threshold, which no form is given."""
CHANGES: Mapping[str, Change] = {
    "as published": {},
    "coefficients standardised": {"branch": {"standardise": True}},
    "batch norm": {"branch": {"batch_norm": True}},
    "biases at the labels' shares": {"recipe": {"prior_bias": True}},
    "no class weights": {"balance": {"class_weights": False}},
    "no weights at all": {"balance": NO_WEIGHTS},
    "items as they are, no weights": {"balance": AS_THEY_ARE},
    "standardised, no weights": {"branch": {"standardise": True}, "balance": NO_WEIGHTS},
    "standardised, items as they are": {"branch": {"standardise": True}, "balance": AS_THEY_ARE},
    "the recipe as it is": CURED,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One form of the network on the test fold."""

    change: str
    seed: int
    labelled_at_half: float
    """Share of items with a label at the published threshold."""
    f1_at_half: float
    """Micro-F1 of the labels at the published threshold."""
    f1_at_chosen: float
    """Micro-F1 of the labels at the threshold chosen on its fold."""
    threshold: float
    mean_ap: float
    top1: float
    spread: float
    """Deviation of a label's confidence over the items, the mean of the labels."""
    highest: float
    dead: float
    """Share of the dense layer's units that are 0 for every sample of 64 items."""


def main() -> int:
    """Train all forms and print the table."""
    arguments = _parser().parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    base = _sized(load_recipe(PUBLISHED), arguments)
    folder = arguments.set_dir
    with TemporaryDirectory() as files:
        for seed in range(arguments.seed, arguments.seed + arguments.seeds):
            settings = FitSettings(seed=seed)
            request = TrainRequest(
                [folder],
                Kind.TRACK,
                arguments.task,
                arguments.task,
                Path(),
                arguments.store,
                keep_labels=base.balance.keep_labels,
                fit=settings,
            )
            prepared = labelled(request)
            catalogue, targets, split = prepared.catalogue, prepared.targets, prepared.split
            features = {Modality.AUDIO: branch_features(base.branches[Modality.AUDIO], [], MAX_TEXT_CHARS)}
            items = read_rows(catalogue.examples, features, MAX_TEXT_CHARS, Path(files), arguments.store)
            for change in arguments.only or CHANGES:
                spec = changed(base, CHANGES[change])
                fitted = fit_compared(request, spec, features, items, targets.has, split, _silent)[-1]
                rows.append(_measured(change, seed, fitted, items, targets.has, split))
                sys.stderr.write(f"{json.dumps(asdict(rows[-1]))}\n")
            rows.append(_frequencies(seed, targets.has, split))
    _show(rows, f"{len(targets.labels)} labels, test fold of {len(split[Fold.TEST])}")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    return 0


def _frequencies(seed: int, has: NDArray[np.bool_], split: Split) -> Row:
    """What the labels' shares in training give for every item alike."""
    truth = has[split[Fold.TEST]]
    prior = prior_only(has[split[Fold.TRAIN]], len(truth))
    found = prior.confidences
    return Row(
        "labels' frequencies",
        seed,
        labelled_at_half=float((found >= PUBLISHED_THRESHOLD).any(axis=1).mean()),
        f1_at_half=micro_f1(truth, found >= PUBLISHED_THRESHOLD),
        f1_at_chosen=micro_f1(truth, prior.decided),
        threshold=float(found[prior.decided].min()),
        mean_ap=mean_average_precision(truth, found),
        top1=float(top_k_hits(truth, found, 1).mean()),
        spread=0.0,
        highest=float(found.max()),
        dead=0.0,
    )


def _measured(
    change: str, seed: int, fitted: FittedNetwork, items: RecipeRows, has: NDArray[np.bool_], split: Split
) -> Row:
    test, tuned = split[Fold.TEST], split[Fold.THRESHOLD]
    presence = fitted.embedded.presence
    confidences, truth = fitted.predict(test, presence[test]), has[test]
    on_fold = fitted.predict(tuned, presence[tuned])
    threshold = choose_thresholds(has[tuned], on_fold, Aim.MICRO_F1)
    return Row(
        change,
        seed,
        labelled_at_half=float((confidences >= PUBLISHED_THRESHOLD).any(axis=1).mean()),
        f1_at_half=micro_f1(truth, confidences >= PUBLISHED_THRESHOLD),
        f1_at_chosen=micro_f1(truth, confidences >= threshold),
        threshold=float(threshold[0]),
        mean_ap=mean_average_precision(truth, confidences),
        top1=float(top_k_hits(truth, confidences, 1).mean()),
        spread=float(confidences.std(axis=0).mean()),
        highest=float(confidences.max()),
        dead=_dead(fitted, items, test[:DEAD_ON_ITEMS]),
    )


def _dead(fitted: FittedNetwork, items: RecipeRows, some: NDArray[np.int64]) -> float:
    encoder = fitted.network.encoder(Modality.AUDIO)
    if not isinstance(encoder, MfccEncoder):
        raise TypeError("the recipe's encoder of recordings hears no MFCCs")
    seen: list[torch.Tensor] = []
    hook = encoder.dense.register_forward_hook(lambda _layer, _given, found: seen.append(found))
    with torch.no_grad():
        encoder(items.batch(some, "cpu")[Modality.AUDIO])
    hook.remove()
    return float((torch.cat(seen).amax(dim=0) <= 0).float().mean())


def changed(spec: RecipeSpec, change: Change) -> RecipeSpec:
    """The recipe with some keys of its parts changed, checked anew."""
    given = spec.model_dump()
    given["branches"][Modality.AUDIO] |= change.get("branch", {})
    given["balance"] |= change.get("balance", {})
    given["fit"] |= change.get("fit", {})
    return RecipeSpec.model_validate(given | change.get("recipe", {}))


def _sized(spec: RecipeSpec, arguments: argparse.Namespace) -> RecipeSpec:
    return changed(
        spec,
        {
            "branch": {"width": arguments.width, "middle_s": arguments.middle_s},
            "balance": {"draws": arguments.draws},
            "fit": {"epochs": arguments.epochs, "patience_epochs": arguments.epochs},
        },
    )


def _show(rows: list[Row], title: str) -> None:
    table = Table(title=title)
    names = ["labelled_at_half", "f1_at_half", "f1_at_chosen", "threshold", "mean_ap", "top1"]
    names += ["spread", "highest", "dead"]
    for name in ["change", *names]:
        table.add_column(name, no_wrap=True, justify="left" if name == "change" else "right")
    for change in dict.fromkeys(row.change for row in rows):
        found = [asdict(row) for row in rows if row.change == change]
        table.add_row(change, *(f"{np.mean([row[name] for row in found]):.3f}" for name in names))
    Console(width=150).print(table)


def _silent(step: str, done: int, total: int) -> None:
    """No progress is shown."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set_dir", type=Path, help="A set of tracks with audio.")
    parser.add_argument("--only", action="append", choices=list(CHANGES), help="One form; may be repeated.")
    parser.add_argument("--task", default="genres")
    parser.add_argument("--seeds", type=int, default=1, help="Trainings a form; the table shows their means.")
    parser.add_argument("--seed", type=int, default=0, help="The first of them.")
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--middle-s", type=int, default=20, help="Seconds of each recording.")
    parser.add_argument("--draws", type=int, default=10, help="Samples an epoch, times the items.")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--store", type=Path, default=Path(".genrestream/embeddings"))
    parser.add_argument("--json", type=Path, help="Where the rows go as JSON.")
    return parser


if __name__ == "__main__":
    sys.exit(main())
