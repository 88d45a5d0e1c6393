"""Each branch of a recipe trained alone, and all of them together: what fusing them brings."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genrestream.schemas.items import Modality
from genrestream.training.fuse import rows_with
from genrestream.training.head_rows import HeadRows
from genrestream.training.metrics import Figures, Predictions, decide, measure_decided
from genrestream.training.recipes.augment import augmented
from genrestream.training.recipes.balance import balanced_draw, balanced_loss
from genrestream.training.recipes.branches import BranchFeatures, new_encoder, new_head
from genrestream.training.recipes.data import RecipeRows
from genrestream.training.recipes.loop import Augment, Curves, embed_rows, fit_network, predict
from genrestream.training.recipes.loss import binary, categorical
from genrestream.training.recipes.mfcc_cnn import MfccEncoder
from genrestream.training.recipes.network import RecipeNetwork, embedding_dim
from genrestream.training.recipes.spec import RecipeSpec, Vgg16
from genrestream.training.recipes.warm_up import warm_up
from genrestream.training.request import TrainRequest
from genrestream.training.set_figures import SetFigures, measure_sets
from genrestream.training.split import Fold, Split
from genrestream.training.thresholds import choose_thresholds

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class FittedNetwork:
    """A trained network and what it says of the threshold and test folds."""

    network: RecipeNetwork
    embedded: HeadRows
    """Of all items; zeros but in the threshold and test folds."""
    thresholds: NDArray[np.float64]
    """[l]"""
    curves: Curves
    test: Figures
    """On those test items that have all modalities of the recipe, so that networks compare."""
    sets: SetFigures
    """On the same items."""

    @property
    def name(self) -> str:
        """What it hears, such as `text+image`."""
        return "+".join(self.network.modalities)

    def predict(self, rows: NDArray[np.int64], presence: NDArray[np.float32]) -> NDArray[np.float32]:
        """Confidences float32 [len(rows), l] under a presence mask float32 [len(rows), m]."""
        return predict(self.network, self.embedded, rows, presence)


def fit_compared(
    request: TrainRequest,
    spec: RecipeSpec,
    features: Mapping[Modality, BranchFeatures],
    rows: RecipeRows,
    targets: NDArray[np.bool_],
    split: Split,
    progress: Progress,
) -> list[FittedNetwork]:
    """A network of each modality alone where there are several, and last the one of all of them.

    All begin with the same encoders and are measured on the same items.

    Raises:
        TrainingError: a loss is no number, or weights cannot be had.
    """
    every = tuple(modality for modality in Modality if modality in spec.branches)
    subsets = [*((modality,) for modality in every if len(every) > 1), every]
    begun = _begun(request, spec, every, features, rows, split, progress)
    return [_fit(request, spec, subset, begun, rows, targets, split, progress) for subset in subsets]


def _begun(
    request: TrainRequest,
    spec: RecipeSpec,
    every: tuple[Modality, ...],
    features: Mapping[Modality, BranchFeatures],
    rows: RecipeRows,
    split: Split,
    progress: Progress,
) -> dict[Modality, nn.Module]:
    """The encoders before any label is shown; they cost a language model, so there is one of each."""
    seed, device = request.fit.seed, request.fit.device
    torch.manual_seed(seed)
    encoders = {modality: new_encoder(spec.branches[modality], features[modality]) for modality in every}
    train, validation = split[Fold.TRAIN], split[Fold.CALIBRATION]
    warm_up(encoders, spec.branches, rows, train, validation, seed, device, progress)
    return encoders


def _fit(
    request: TrainRequest,
    spec: RecipeSpec,
    subset: tuple[Modality, ...],
    begun: Mapping[Modality, nn.Module],
    rows: RecipeRows,
    targets: NDArray[np.bool_],
    split: Split,
    progress: Progress,
) -> FittedNetwork:
    torch.manual_seed(request.fit.seed)
    train, tuned, test = split[Fold.TRAIN], split[Fold.THRESHOLD], split[Fold.TEST]
    encoders = {modality: copy.deepcopy(begun[modality]) for modality in subset}
    dims = {modality: embedding_dim(encoder) for modality, encoder in encoders.items()}
    network = RecipeNetwork(encoders, new_head(spec, dims, _prior(targets[train], spec)))
    loss = categorical if spec.labels == "softmax" else binary
    step = f"training {'+'.join(subset)}"
    curves = fit_network(
        network,
        rows,
        targets,
        balanced_draw(spec.balance, targets, train, request.fit.seed),
        split[Fold.CALIBRATION],
        balanced_loss(spec.balance, loss, targets[train]),
        spec.fit,
        augmentation(spec, encoders),
        request.fit.seed,
        request.fit.device,
        lambda done, total: progress(step, done, total),
    )
    measured = np.sort(np.concatenate([tuned, test]))
    embedded = embed_rows(network, rows, measured, spec.fit.batch_items, request.fit.device)
    network.cpu()
    confidences = predict(network, embedded, tuned, embedded.presence[tuned])
    thresholds = choose_thresholds(targets[tuned], confidences, request.aim, request.precision_floor)
    if spec.threshold is not None:
        thresholds = np.full(targets.shape[1], spec.threshold)
    complete = test[rows_with(rows.presence[test], tuple(spec.branches))]
    found = predict(network, embedded, complete, embedded.presence[complete])
    predictions = Predictions(found, decide(found, thresholds))
    figures = measure_decided(targets[complete], predictions)
    sets = measure_sets(targets[complete], predictions)
    return FittedNetwork(network, embedded, thresholds, curves, figures, sets)


def augmentation(spec: RecipeSpec, encoders: Mapping[Modality, nn.Module]) -> Augment:
    """Pictures mirrored and turned as the recipe says, one sample of recordings by chance; texts as is."""
    branch = spec.branches.get(Modality.IMAGE)

    def show(inputs: Mapping[Modality, Tensor], rng: np.random.Generator) -> dict[Modality, Tensor]:
        shown = dict(inputs)
        if isinstance(branch, Vgg16) and Modality.IMAGE in shown:
            shown[Modality.IMAGE] = augmented(
                shown[Modality.IMAGE], rng, flip=branch.flip, rotation_deg=branch.rotation_deg
            )
        encoder = encoders.get(Modality.AUDIO)
        if isinstance(encoder, MfccEncoder) and Modality.AUDIO in shown:
            shown[Modality.AUDIO] = encoder.one_sample(shown[Modality.AUDIO], rng)
        return shown

    return show


def _prior(targets: NDArray[np.bool_], spec: RecipeSpec) -> NDArray[np.float32]:
    """The labels' shares in training [l]; with softmax in sum 1."""
    share = (targets.sum(axis=0) + 0.5) / (len(targets) + 1.0)
    if spec.labels == "softmax":
        share = share / share.sum()
    prior: NDArray[np.float32] = share.astype(np.float32)
    return prior
