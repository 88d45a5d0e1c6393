"""The items of catalogue sets that have one modality, with the genres of all kinds side by side.

Legend: n items, l labels of all kinds together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas import Kind, Modality, TextFeatures
from genrestream.training.catalogue import Example, read_catalogue
from genrestream.training.contents import named_modalities, read_content
from genrestream.training.encoders.draft import EncoderError, Progress
from genrestream.training.split import assign_groups
from genrestream.workers.features.content import Content, FeaturePlan, Spec
from genrestream.workers.features.extract import extract

TASK = "genres"
TRAIN_SHARE = 0.85


@dataclass(frozen=True, slots=True)
class Labelled:
    """Items of one modality."""

    examples: tuple[Example, ...]
    targets: NDArray[np.float32]
    """float32 [n, l], 1 where the item has the label."""
    known: NDArray[np.float32]
    """float32 [n, l], 1 for the labels of the item's own kind; the others say nothing about it."""
    held_out: NDArray[np.bool_]
    """bool [n]; whole groups."""


def read_labelled(folders: Sequence[Path], modality: Modality, seed: int) -> Labelled:
    """The items of a set a kind, in the order event, podcast, track, that name content of the modality.

    Raises:
        TrainingError: a set cannot be read, or has too few groups to hold some out.
    """
    catalogues = [read_catalogue([folder], kind, TASK) for kind, folder in zip(Kind, folders, strict=True)]
    examples: list[Example] = []
    held_out: list[NDArray[np.bool_]] = []
    labels = [sorted({name for one in catalogue.examples for name in one.labels}) for catalogue in catalogues]
    columns = {
        (catalogue.kind, name): index
        for index, (catalogue, name) in enumerate(
            (catalogue, name) for catalogue, names in zip(catalogues, labels, strict=True) for name in names
        )
    }
    for catalogue in catalogues:
        found = [one for one in catalogue.examples if modality in named_modalities(one.item)]
        if not found:
            continue
        examples += found
        held_out.append(_held_out(found, seed))
    if not examples:
        raise EncoderError(f"no item with {modality} in {', '.join(map(str, folders))}")
    targets = np.zeros((len(examples), len(columns)), np.float32)
    known = np.zeros_like(targets)
    for row, one in enumerate(examples):
        targets[row, [columns[one.item.kind, name] for name in one.labels]] = 1
        known[row, [column for (kind, _), column in columns.items() if kind == one.item.kind]] = 1
    return Labelled(tuple(examples), targets, known, np.concatenate(held_out))


def _held_out(examples: Sequence[Example], seed: int) -> NDArray[np.bool_]:
    """Which items of a kind are not trained on, bool [n]."""
    names = sorted({name for one in examples for name in one.labels})
    has = np.array([[name in one.labels for name in names] for one in examples])
    folds = assign_groups(has, [one.group for one in examples], [TRAIN_SHARE, 1 - TRAIN_SHARE], seed)
    held_out: NDArray[np.bool_] = folds == 1
    return held_out


def feature_tensors(
    labelled: Labelled, spec: Spec, modality: Modality, progress: Progress, tokenizer: Path | None = None
) -> list[NDArray[np.generic]]:
    """The feature tensor of every item, through the same functions as in serving.

    Raises:
        EncoderError: an item's content cannot be read; the sample is made here, so that is a fault of ours.
    """
    tokenizers = {spec.tokenizer_sha256: str(tokenizer)} if isinstance(spec, TextFeatures) else {}
    plan = FeaturePlan(specs=(spec,), tokenizers=tokenizers)
    tensors: list[NDArray[np.generic]] = []
    for done, example in enumerate(labelled.examples, start=1):
        content: Content = read_content(example, frozenset({modality}))
        tensor = extract(content, plan).tensors[0]
        if not isinstance(tensor, np.ndarray):
            raise EncoderError(f"{example.key} has no readable {modality}")
        tensors.append(tensor)
        progress(f"{modality} features", done, len(labelled.examples))
    return tensors
