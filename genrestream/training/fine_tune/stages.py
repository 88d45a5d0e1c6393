"""The stages of fine-tuning: first the last blocks, then all of them, both on the loop of recipes."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from genrestream.training.errors import TrainingError
from genrestream.training.fine_tune.blocks import blocks_of, first_of_last, learn_from
from genrestream.training.fine_tune.items import TuneItems
from genrestream.training.fine_tune.settings import Blocks, TuneSettings
from genrestream.training.fine_tune.shown import order_of, shown_of
from genrestream.training.fine_tune.steps import small_steps
from genrestream.training.recipes.loop import Curves, fit_network, in_batches, mean_loss
from genrestream.training.recipes.loss import binary
from genrestream.training.recipes.network import RecipeNetwork
from genrestream.training.recipes.spec import Fit

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Stage:
    """What came of one stage."""

    name: str
    curves: Curves
    kept_epoch: int
    """The epoch whose weights were kept, from 1; 0 where none was better than what it began with."""

    def as_dict(self) -> dict[str, Any]:
        """For people and programs."""
        return {"name": self.name, "kept_epoch": self.kept_epoch, **asdict(self.curves)}


def tune_network(
    network: RecipeNetwork,
    items: TuneItems,
    example: Tensor,
    settings: TuneSettings,
    seed: int,
    device: str,
    progress: Progress = lambda step, done, total: None,
) -> tuple[Stage, ...]:
    """Tune the network in place; it ends with the weights of the least loss on the calibration fold.

    `example` [b, ...] is a batch of feature tensors on the CPU. The test fold is not looked at.

    Raises:
        TrainingError: a loss is no number, the device's memory is too small, or tuning made nothing better.
    """
    network.cpu()
    blocks = blocks_of(network.encoder(items.modality), example)
    network.to(device)
    fit = Fit(
        epochs=settings.epochs,
        patience_epochs=settings.patience_epochs,
        batch_items=settings.batch_items,
        rate=settings.rate_of(items.modality),
    )
    batches = fit.epochs * len(list(in_batches(items.train, fit.batch_items)))
    untuned = mean_loss(network, items.rows, items.has, items.validation, binary, fit, device)
    if not math.isfinite(untuned):
        raise TrainingError(f"the untuned encoder's loss on the calibration fold is {untuned}")
    plan = [("the last blocks", first_of_last(blocks)), ("all blocks", 0)]
    best = untuned
    stages: list[Stage] = []
    for name, first in plan if settings.blocks is Blocks.ALL else plan[:1]:
        learn_from(blocks, first)
        try:
            curves = fit_network(
                network,
                items.rows,
                items.has,
                order_of(items, fit.batch_items),
                items.validation,
                binary,
                fit,
                shown_of(items.modality, items.rows.pad_id),
                seed,
                device,
                partial(progress, f"tuning {name}"),
                small_steps(blocks, first, batches),
                best,
            )
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"{device} has too little memory for batches of {fit.batch_items}: smaller ones may do"
            ) from error
        least = min(curves.validation)
        stages.append(Stage(name, curves, curves.best_epoch if least < best else 0))
        best = min(best, least)
    if best >= untuned:
        raise TrainingError(
            f"tuning made nothing better: the calibration fold's loss stayed above the {untuned:.3f} that "
            f"the untuned encoder has; another rate than {fit.rate:g} may help, or more items"
        )
    return tuple(stages)
