"""The starter encoders' networks.

Legend: b batch, h height, w width, t tokens, p patches, f frames, m mel bands, c channels, d embedding size.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

PIXEL_MEAN = 127.5
PIXEL_SCALE = 64.0


def convolution(channels_in: int, channels: int, stride: int) -> nn.Sequential:
    """3x3 convolution, batch norm (which the exporter folds into it), ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


class StarterImage(nn.Module):
    """float32 [b, 3, h, w] to float32 [b, d]: four halvings, then what is there on average and at most."""

    def __init__(self, embedding_dim: int = 128) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            convolution(3, 32, stride=2),
            convolution(32, 64, stride=2),
            convolution(64, 64, stride=1),
            convolution(64, 96, stride=2),
            convolution(96, 96, stride=1),
            convolution(96, 128, stride=2),
            convolution(128, 128, stride=1),
        )
        self.embed = nn.Linear(2 * 128, embedding_dim)

    def forward(self, pixels: Tensor) -> Tensor:
        """The embeddings of a batch of normalised pictures."""
        maps = self.layers(pixels)
        pooled = torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1)
        embedding: Tensor = self.embed(pooled)
        return embedding


class StarterPatch(nn.Module):
    """float32 [n, 1, f, m] to float32 [n, d]: log-mel patches, four halvings, mean and maximum over time."""

    def __init__(self, mel_bands: int, embedding_dim: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            convolution(1, 32, stride=2),
            convolution(32, 64, stride=2),
            convolution(64, 64, stride=1),
            convolution(64, 128, stride=2),
            convolution(128, 128, stride=1),
            convolution(128, 128, stride=2),
        )
        self.embed = nn.Linear(2 * 128 * -(-mel_bands // 16), embedding_dim)

    def forward(self, patches: Tensor) -> Tensor:
        """The embeddings of a batch of patches; frequencies keep their places."""
        maps = self.layers(patches - 1.0)
        pooled = torch.cat([maps.mean(dim=2), maps.amax(dim=2)], dim=1)
        embedding: Tensor = self.embed(pooled.flatten(1))
        return embedding


class StarterText(nn.Module):
    """int64 [b, t] to float32 [b, d]: word pieces weighed by learnt importance, with their neighbours."""

    def __init__(self, vocabulary: int, pad_id: int, embedding_dim: int = 96, width: int = 48) -> None:
        super().__init__()
        self.pad_id = pad_id
        self.pieces = nn.Embedding(vocabulary, width, padding_idx=pad_id)
        self.neighbours = nn.Conv1d(width, width, 3, padding=1, groups=width)
        self.importance = nn.Linear(width, 1)
        self.embed = nn.Sequential(nn.Linear(2 * width, 128), nn.ReLU(), nn.Linear(128, embedding_dim))

    def forward(self, token_ids: Tensor) -> Tensor:
        """The embeddings of a batch of texts."""
        present = token_ids.ne(self.pad_id).unsqueeze(2)
        pieces = self.pieces(token_ids) * present
        phrases = functional.relu(pieces + self.neighbours(pieces.transpose(1, 2)).transpose(1, 2))
        importance = self.importance(phrases).masked_fill(~present, -1e4).softmax(dim=1)
        weighed = (phrases * importance).sum(dim=1)
        strongest = phrases.masked_fill(~present, 0.0).amax(dim=1)
        embedding: Tensor = self.embed(torch.cat([weighed, strongest], dim=1))
        return embedding
