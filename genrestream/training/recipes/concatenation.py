"""Fusion by concatenation: one layer over all embeddings side by side.

Legend: b batch, d embedding size, k branches, l labels, m modalities.
"""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genrestream.schemas.items import Modality
from genrestream.training.head_rows import MODALITIES
from genrestream.training.recipes.network import FusedHead, LogShares


class Concatenation(FusedHead):
    """Sigmoids over the concatenated embeddings; those that an item lacks are zeros."""

    prior: Tensor

    def __init__(self, dims: Mapping[Modality, int], prior: NDArray[np.float32]) -> None:
        """`prior` [l] are the labels' shares in training; the biases start there."""
        super().__init__()
        self.modalities = tuple(modality for modality in MODALITIES if modality in dims)
        self.register_buffer("prior", torch.from_numpy(prior))
        self.classifier = nn.Linear(sum(dims.values()), len(prior))
        self.classifier.bias.data.copy_(torch.logit(self.prior.clamp(1e-4, 1 - 1e-4)))

    def log_shares(self, embeddings: Mapping[Modality, Tensor], presence: Tensor) -> LogShares:
        """Of each label, for itself."""
        logits = self._logits(embeddings, presence)
        return nn.functional.logsigmoid(logits), nn.functional.logsigmoid(-logits)

    def forward(self, embeddings: Mapping[Modality, Tensor], presence: Tensor) -> Tensor:
        """The sigmoids; of an item without any modality the labels' shares."""
        nothing = (self._heard(presence).sum(dim=1, keepdim=True) == 0).to(presence.dtype)
        found = torch.sigmoid(self._logits(embeddings, presence))
        confidences: Tensor = found + nothing * (self.prior - found)
        return confidences

    def _logits(self, embeddings: Mapping[Modality, Tensor], presence: Tensor) -> Tensor:
        heard = self._heard(presence)
        masked = [embeddings[modality] * heard[:, [k]] for k, modality in enumerate(self.modalities)]
        logits: Tensor = self.classifier(torch.cat(masked, dim=1))
        return logits

    def _heard(self, presence: Tensor) -> Tensor:
        """[b, k]"""
        return presence[:, [MODALITIES.index(modality) for modality in self.modalities]]
