"""`python -m benchmarks.shown_shares SET`: which share of what a training weighs has each label.

A network that hears nothing ends at these shares: they are the best constant confidences under binary
cross-entropy. (1 - share) / share is how much more likely a sound must be with the label than without it
before its confidence reaches one half.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from genrestream.schemas import Kind
from genrestream.training.prepare import labelled
from genrestream.training.rebalancing import VOC_CENTRE, rebalancing_weights
from genrestream.training.recipes.sampling import class_aware_shares, first_label_weights
from genrestream.training.request import TrainRequest
from genrestream.training.split import Fold


def main() -> int:
    """Print the shares of the training fold's labels under each balance."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("set_dir", type=Path, help="A set of tracks.")
    parser.add_argument("--task", default="genres")
    parser.add_argument("--store", type=Path, default=Path(".genrestream/embeddings"))
    arguments = parser.parse_args()
    task = arguments.task
    request = TrainRequest([arguments.set_dir], Kind.TRACK, task, task, Path(), arguments.store)
    prepared = labelled(request)
    targets, split = prepared.targets, prepared.split
    table = Table(title=f"{len(targets.labels)} labels, {len(split[Fold.TRAIN])} training items")
    for name in ("shown", "rarest", "median", "commonest", "likelihood ratio to reach one half"):
        table.add_column(name)
    for name, shares in shown_shares(targets.has[split[Fold.TRAIN]]).items():
        figures = [shares.min(), np.median(shares), shares.max()]
        ratios = (1.0 - shares) / shares
        spans = f"{ratios.min():.1f} to {ratios.max():.1f}, median {np.median(ratios):.1f}"
        table.add_row(name, *(f"{figure:.3f}" for figure in figures), spans)
    Console(width=150).print(table)
    return 0


def shown_shares(has: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    """The labels' shares float64 [l] of what is drawn and weighed, for training items `has` bool [n, l]."""
    counts, items = has.sum(axis=0), len(has)
    as_they_are, by_label = np.full(items, 1.0 / items), class_aware_shares(has)
    alike = np.ones(has.shape)
    wanted, labels_items = torch.from_numpy(has).float(), torch.from_numpy(counts).float()
    rebalanced = rebalancing_weights(wanted, labels_items, VOC_CENTRE).numpy()
    classes = first_label_weights(has, counts, items)[:, None]
    forms = {
        "items as they are": (as_they_are, alike),
        "class weights": (as_they_are, alike * classes),
        "drawn by label": (by_label, alike),
        "drawn by label, rebalanced": (by_label, rebalanced),
        "drawn by label, rebalanced, class weights": (by_label, rebalanced * classes),
    }
    return {name: _share(has, drawn[:, None] * weights) for name, (drawn, weights) in forms.items()}


def _share(has: NDArray[np.bool_], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = (weights * has).sum(axis=0) / weights.sum(axis=0)
    return shares


if __name__ == "__main__":
    sys.exit(main())
