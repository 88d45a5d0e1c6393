"""A recipe's network: an encoder a modality, and a head that fuses their embeddings.

It is served in the same parts. Legend: b batch, d embedding size, k branches, l labels, m modalities.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genrestream.schemas.items import Modality
from genrestream.training.head_rows import MODALITIES

LogShares = tuple[Tensor, Tensor]
"""Logarithms of the confidences and of one less the confidences, float32 [b, l] each."""


class FusedHead(nn.Module, ABC):
    """From the embeddings that an item has to confidences; one head a kind of fusion.

    `forward` is what is exported; `log_shares` is the same in logarithms, for the loss.
    """

    modalities: tuple[Modality, ...]

    @abstractmethod
    def log_shares(self, embeddings: Mapping[Modality, Tensor], presence: Tensor) -> LogShares:
        """Of items that have a modality at least; `presence` float32 [b, m] in the order of `Modality`."""

    @abstractmethod
    def forward(self, embeddings: Mapping[Modality, Tensor], presence: Tensor) -> Tensor:
        """Confidences float32 [b, l]; of an item without any modality the labels' shares."""


class LateFusion(FusedHead):
    """The mean of the probabilities that the present modalities' branches give."""

    prior: Tensor

    def __init__(self, dims: Mapping[Modality, int], prior: NDArray[np.float32], *, softmax: bool) -> None:
        """`prior` [l] are the labels' shares in training; a branch's biases start there."""
        super().__init__()
        self.modalities = tuple(modality for modality in MODALITIES if modality in dims)
        self.softmax = softmax
        self.register_buffer("prior", torch.from_numpy(prior))
        share = self.prior.clamp(1e-4, 1 - 1e-4)
        start = share.log() if softmax else torch.logit(share)
        self.classifiers = nn.ModuleDict()
        for modality in self.modalities:
            layer = nn.Linear(dims[modality], len(prior))
            layer.bias.data.copy_(start)
            self.classifiers[modality] = layer

    def log_shares(self, embeddings: Mapping[Modality, Tensor], presence: Tensor) -> LogShares:
        """By log-sum-exp, so that small probabilities keep their gradients."""
        logits, heard = self._logits(embeddings), self._heard(presence)
        mask, count = heard.log()[:, :, None], heard.sum(dim=1, keepdim=True).log()
        if self.softmax:
            yes = torch.logsumexp(nn.functional.log_softmax(logits, dim=2) + mask, dim=1) - count
            return yes, torch.log1p(-yes.exp().clamp_max(1 - 1e-6))
        yes = torch.logsumexp(nn.functional.logsigmoid(logits) + mask, dim=1) - count
        no = torch.logsumexp(nn.functional.logsigmoid(-logits) + mask, dim=1) - count
        return yes, no

    def forward(self, embeddings: Mapping[Modality, Tensor], presence: Tensor) -> Tensor:
        """The mean itself."""
        logits, heard = self._logits(embeddings), self._heard(presence)
        shares = torch.softmax(logits, dim=2) if self.softmax else torch.sigmoid(logits)
        count = heard.sum(dim=1, keepdim=True)
        nothing = (count == 0).to(shares.dtype)
        mean: Tensor = (shares * heard[:, :, None]).sum(dim=1) / count.clamp_min(1.0)
        return mean + nothing * self.prior

    def _logits(self, embeddings: Mapping[Modality, Tensor]) -> Tensor:
        """[b, k, l]"""
        given = [self.classifiers[modality](embeddings[modality]) for modality in self.modalities]
        return torch.stack(given, dim=1)

    def _heard(self, presence: Tensor) -> Tensor:
        """[b, k]"""
        return presence[:, [MODALITIES.index(modality) for modality in self.modalities]]


class RecipeNetwork(nn.Module):
    """The encoders and the head, trained together."""

    def __init__(self, encoders: Mapping[Modality, nn.Module], head: FusedHead) -> None:
        """Each encoder states its `embedding_dim`."""
        super().__init__()
        self.encoders = nn.ModuleDict({modality: encoders[modality] for modality in head.modalities})
        self.head = head

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """What it hears."""
        return self.head.modalities

    @property
    def embedding_dims(self) -> dict[Modality, int]:
        """The size of each modality's embedding."""
        return {modality: embedding_dim(self.encoders[modality]) for modality in self.modalities}

    def encoder(self, modality: Modality) -> nn.Module:
        """The encoder of a modality."""
        return self.encoders[modality]

    def embeddings(self, inputs: Mapping[Modality, Tensor], presence: Tensor) -> dict[Modality, Tensor]:
        """Float32 [b, d] of each modality; zeros where an item lacks it, for which nothing is computed."""
        found = {}
        for modality in self.modalities:
            encoder = self.encoders[modality]
            there = presence[:, MODALITIES.index(modality)].nonzero()[:, 0]
            result = torch.zeros(len(presence), embedding_dim(encoder), device=presence.device)
            if len(there):
                result = result.index_copy(0, there, encoder(inputs[modality][there]))
            found[modality] = result
        return found

    def log_shares(self, inputs: Mapping[Modality, Tensor], presence: Tensor) -> LogShares:
        """What the loss is made of."""
        return self.head.log_shares(self.embeddings(inputs, presence), presence)

    def forward(self, inputs: Mapping[Modality, Tensor], presence: Tensor) -> Tensor:
        """Confidences float32 [b, l]."""
        confidences: Tensor = self.head(self.embeddings(inputs, presence), presence)
        return confidences


def embedding_dim(encoder: nn.Module) -> int:
    """The size of what an encoder gives."""
    dim: int = encoder.embedding_dim  # type: ignore[assignment]
    return dim
