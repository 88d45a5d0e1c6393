"""The encoder and a linear head over its embedding, as the network that the training loop takes.

Legend: b batch, d embedding size, l labels, m modalities.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genrestream.schemas.items import Modality
from genrestream.training.device import has_bfloat16
from genrestream.training.heads import EmbeddingBranch, prior_logits
from genrestream.training.recipes.network import FusedHead, LogShares, RecipeNetwork


class TunedEncoder(nn.Module):
    """An encoder that computes in bfloat16 where the device does; its weights stay float32.

    It learns as it is served: batch norms keep the statistics that they came with, as a batch of sixteen says
    too little of them, and nothing within is dropped. Dropout in E5 gained neither a layer nor a head over it
    anything on podcasts, and was two thirds of a step on a CPU.
    """

    def __init__(self, encoder: nn.Module, embedding_dim: int, device: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.embedding_dim = embedding_dim
        self.in_bfloat16 = has_bfloat16(device)

    def train(self, mode: bool = True) -> Self:
        """The encoder stays in evaluation, whatever `mode` is."""
        return super().train(False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Embeddings float32 [b, d] of a batch of feature tensors."""
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.in_bfloat16):
            embedding: Tensor = self.encoder(inputs)
        return embedding.float()


class LinearHead(FusedHead):
    """One linear layer over one modality's embedding."""

    def __init__(self, modality: Modality, branch: EmbeddingBranch) -> None:
        super().__init__()
        self.modalities = (modality,)
        self.branch = branch

    def log_shares(self, embeddings: Mapping[Modality, Tensor], presence: Tensor) -> LogShares:
        """Of items that have the modality, as all must."""
        logits = self.branch(embeddings[self.modalities[0]])
        return nn.functional.logsigmoid(logits), nn.functional.logsigmoid(-logits)

    def forward(self, embeddings: Mapping[Modality, Tensor], presence: Tensor) -> Tensor:
        """Confidences float32 [b, l]."""
        return torch.sigmoid(self.branch(embeddings[self.modalities[0]]))


def new_network(
    encoder: nn.Module, modality: Modality, example: Tensor, has: NDArray[np.bool_], device: str
) -> RecipeNetwork:
    """The encoder under a head that says the prior of everything: that of the training items, `has` [n, l].

    `example` [b, ...] is a batch of feature tensors, from which the embedding's size is known.
    """
    # Weights that came in half precision would swallow steps as small as these.
    encoder.float().eval()
    with torch.no_grad():
        embedding_dim = int(encoder(example).shape[1])
    # Without a spread all dimensions count for nothing.
    still = np.zeros(embedding_dim)
    nothing = EmbeddingBranch(still, still, prior_logits(has))
    tuned = TunedEncoder(encoder, embedding_dim, device)
    return RecipeNetwork({modality: tuned}, LinearHead(modality, nothing))
