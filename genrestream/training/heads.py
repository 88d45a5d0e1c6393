"""The fused head: one linear branch a view of the item, and a gate that fuses the branches' logits late.

The branches are hashed terms (in effect a TF-IDF one-vs-rest classifier) and one embedding a modality, or
each of its views.
The gate holds weights for every subset of modalities, so each subset is fused and calibrated for itself.
Branches are linear: hidden layers of 256 to 512 units ranked no better on any of four real sets.
Legend: b batch, t terms, v rows of the term table, d embedding size, l labels, s subsets, k branches.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genrestream.schemas.items import Modality
from genrestream.training.head_rows import MODALITIES, READ

TERMS = "terms"
"""The name of the hashed terms' branch; the others are called by their modality, and view."""

SUBSETS = 2 ** len(MODALITIES)
"""Subsets of text (bit 0), image (bit 1) and audio (bit 2); as many more for texts that were read (bit 3)."""

Terms = tuple[Tensor, Tensor, Tensor]
"""Ids, weights and starts, as `TermsBranch` takes them."""

WHOLE = slice(None)
"""All of an embedding's dimensions."""

MIN_OTHERS = 1e-4
"""The least share that is left to the other labels: 1 less a float32 share is no more exact than this."""

MIN_NORM = 1e-6
"""An item whose terms are all unknown has norm 0; its logits are then the prior's."""


def modality_of(branch: str) -> Modality:
    """The modality that an item must have for the branch to speak."""
    return Modality.TEXT if branch == TERMS else Modality(branch.partition(":")[0])


def branch_of(modality: Modality, view: str) -> str:
    """The name of the branch for a view of the modality's embedding."""
    return f"{modality}:{view}"


class TermsBranch(nn.Module):
    """Logits from hashed terms: idf x weight, normed to length 1, times one row of the table a term."""

    idf: Tensor

    def __init__(self, idf: NDArray[np.float32], prior_logits: Tensor) -> None:
        super().__init__()
        self.register_buffer("idf", torch.from_numpy(idf))
        self.weight = nn.Parameter(torch.zeros(len(idf), len(prior_logits)))
        self.bias = nn.Parameter(prior_logits.clone())

    def forward(self, ids: Tensor, weights: Tensor, starts: Tensor) -> Tensor:
        """Logits float32 [b, l] from the terms of all items, one after the other.

        `ids` int32 [t] and `weights` float32 [t]; those of item i begin at `starts` int64 [b].
        """
        scaled = weights * self.idf[ids]
        lengths = torch.diff(starts, append=starts.new_tensor([len(ids)]))
        squares = torch.zeros(len(starts), device=ids.device).index_add_(
            0, torch.repeat_interleave(lengths), scaled.square()
        )
        normed = scaled / squares.sqrt().clamp_min(MIN_NORM).repeat_interleave(lengths)
        summed = nn.functional.embedding_bag(
            ids.long(), self.weight, starts, per_sample_weights=normed, mode="sum"
        )
        return summed + self.bias


class EmbeddingBranch(nn.Module):
    """Logits from one modality's embedding: standardised, brought to length 1 on average, then linear."""

    mean: Tensor
    inverse_deviation: Tensor
    """Divided by the square root of d: then terms and embeddings train at the same rate."""

    def __init__(
        self,
        mean: NDArray[np.float64],
        deviation: NDArray[np.float64],
        prior_logits: Tensor,
        view: slice = WHOLE,
    ) -> None:
        """Standardise by the `mean` and `deviation` of the embeddings that are learnt from.

        Of all their dimensions; d of these are in the `view` that it hears.
        """
        super().__init__()
        self.embedding_dim = len(mean)
        self.view = view
        mean, deviation = mean[view], deviation[view]
        # A constant dimension tells nothing; dividing by its rounding error would make it loud.
        inverse = np.where(deviation > 1e-6, 1.0 / np.maximum(deviation, 1e-6), 0.0)
        inverse = inverse / np.sqrt(len(mean))
        self.register_buffer("mean", torch.from_numpy(mean.astype(np.float32)))
        self.register_buffer("inverse_deviation", torch.from_numpy(inverse.astype(np.float32)))
        self.weight = nn.Parameter(torch.zeros(len(prior_logits), len(mean)))
        self.bias = nn.Parameter(prior_logits.clone())

    def forward(self, embedding: Tensor) -> Tensor:
        """Logits float32 [b, l] from whole embeddings."""
        heard = embedding[:, self.view]
        return nn.functional.linear((heard - self.mean) * self.inverse_deviation, self.weight, self.bias)


class Branches(nn.Module):
    """All branches of a head, each with logits of its own."""

    def __init__(self, branches: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.by_name = nn.ModuleDict(branches)
        self.names = tuple(branches)

    def children_in_order(self) -> list[nn.Module]:
        """The branches in the order of `names`."""
        return [self.by_name[name] for name in self.names]

    def forward(self, embeddings: Mapping[Modality, Tensor], terms: Terms | None) -> Tensor:
        """Logits float32 [b, k, l] in the order of `names`."""
        return torch.stack([self._logits(name, embeddings, terms) for name in self.names], dim=1)

    def _logits(self, name: str, embeddings: Mapping[Modality, Tensor], terms: Terms | None) -> Tensor:
        if name == TERMS and terms is None:
            raise ValueError("the head listens to hashed terms, and none were given")
        given = (terms or ()) if name == TERMS else (embeddings[modality_of(name)],)
        logits: Tensor = self.by_name[name](*given)
        return logits


class Gate(nn.Module):
    """Fuses the branches' logits, with numbers of its own for every subset of modalities.

    fused = sum of weight x logit + bias, confidence = sigmoid(slope x (fused - competition x others) + shift)
    with `others` the log-sum-exp of the other labels' fused logits. Competition 0 leaves the labels
    independent, 1 is a softmax: it is learnt, since sets lie between one label an item and many.
    """

    weights: Tensor
    """float32 [s, k, l]; 0 for the branches whose modality is not in the subset."""
    bias: Tensor
    """float32 [s, l]"""
    competition: Tensor
    """float32 [s]"""
    slope: Tensor
    """float32 [s]; 1 until calibrated"""
    shift: Tensor
    """float32 [s, l]; 0 until calibrated"""
    heard: Tensor
    """float32 [m]: what each column of the presence mask adds to the subset's number; 0 for modalities
    without a branch."""

    def __init__(
        self, branches: int, labels: int, modalities: Sequence[Modality], *, reads: bool = False
    ) -> None:
        """`reads`: it has numbers of its own for texts that were read from pictures."""
        super().__init__()
        self.modalities = tuple(modalities)
        self.reads = reads
        bits = [float(1 << bit) if name in modalities else 0.0 for bit, name in enumerate(MODALITIES)]
        subsets = 2 * SUBSETS if reads else SUBSETS
        self.register_buffer("weights", torch.zeros(subsets, branches, labels))
        self.register_buffer("bias", torch.zeros(subsets, labels))
        self.register_buffer("competition", torch.zeros(subsets))
        self.register_buffer("slope", torch.ones(subsets))
        self.register_buffer("shift", torch.zeros(subsets, labels))
        self.register_buffer("heard", torch.tensor([*bits, float(SUBSETS)] if reads else bits))

    @property
    def subsets(self) -> list[tuple[str, ...]]:
        """All that it has numbers for but the empty one; those with a read text last."""
        return all_subsets(self.modalities, reads=self.reads)

    def competed(self, logits: Tensor, presence: Tensor) -> Tensor:
        """Uncalibrated log-odds float32 [b, l] from branch logits [b, k, l] and presence float32 [b, m]."""
        subset = self._subset(presence)
        fused = (self.weights[subset] * logits).sum(dim=1) + self.bias[subset]
        return compete(fused, self.competition[subset][:, None])

    def forward(self, logits: Tensor, presence: Tensor) -> Tensor:
        """Confidences float32 [b, l]."""
        subset = self._subset(presence)
        competed = self.competed(logits, presence)
        return torch.sigmoid(self.slope[subset][:, None] * competed + self.shift[subset])

    def _subset(self, presence: Tensor) -> Tensor:
        return (presence[:, : len(self.heard)] * self.heard).sum(dim=1).long()


def compete(fused: Tensor, competition: Tensor) -> Tensor:
    """`fused` [b, l] less `competition` [b, 1] times the log-sum-exp of the other labels."""
    log_share = torch.log_softmax(fused, dim=1)
    others = fused - log_share + torch.log((1.0 - log_share.exp()).clamp_min(MIN_OTHERS))
    return fused - competition * others


class FusedHead(nn.Module):
    """The whole head, from a batch's inputs to calibrated confidences."""

    def __init__(self, branches: Branches, gate: Gate) -> None:
        super().__init__()
        self.branches = branches
        self.gate = gate

    def forward(self, embeddings: Mapping[Modality, Tensor], terms: Terms | None, presence: Tensor) -> Tensor:
        """Confidences float32 [b, l]."""
        confidences: Tensor = self.gate(self.branches(embeddings, terms), presence)
        return confidences


def subsets_of(modalities: Sequence[Modality]) -> list[tuple[Modality, ...]]:
    """Every subset but the empty one, the smallest first, in the order of `Modality`."""
    ordered = [modality for modality in MODALITIES if modality in modalities]
    return [subset for size in range(1, len(ordered) + 1) for subset in combinations(ordered, size)]


def all_subsets(modalities: Sequence[Modality], *, reads: bool) -> list[tuple[str, ...]]:
    """`subsets_of`; and with `reads` those of text and picture once more, the text read from the picture."""
    plain = subsets_of(modalities)
    read = [subset for subset in plain if Modality.TEXT in subset and Modality.IMAGE in subset]
    return [*plain, *((*subset, READ) for subset in read if reads)]


def subset_number(subset: Sequence[str]) -> int:
    """The row of the gate's tables for the subset."""
    return sum(SUBSETS if part == READ else 1 << MODALITIES.index(Modality(part)) for part in subset)


def prior_logits(targets: NDArray[np.bool_]) -> Tensor:
    """The log-odds of each label's share float32 [l]: where a head's biases start."""
    share = (targets.sum(axis=0) + 0.5) / (len(targets) + 1.0)
    return torch.from_numpy(np.log(share / (1.0 - share)).astype(np.float32))
