"""The network of an earlier production-music classifier: MFCCs of one second as a picture, a 2-D CNN.

As it was published, and with each change that was tried on it: docs/collapse.md has the figures.
Legend: b batch, p patches, n samples of one second, f frames, g frames of a sample, m mel bands,
k coefficients, d embedding size.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from genrestream.training.recipes.mfcc import Mfcc

BLOCKS = (32, 64, 128)
"""Channels of the conv-pool blocks at width 1."""
DENSE = 128
MIN_DEVIATION = 1e-3
"""Decibels: a coefficient that varies less, as in silence, is constant."""


@dataclass(frozen=True, slots=True)
class CnnShape:
    """The sizes of the network and the two changes of its layers."""

    mel_bands: int = 26
    coefficients: int = 13
    sample_frames: int = 86
    """One second: 44,100 Hz / 512."""
    width: float = 1.0
    """Share of the channels and units."""
    dropout: float = 0.5
    standardise: bool = False
    """Each coefficient to mean 0 and deviation 1 over the training items, by numbers kept in the graph."""
    batch_norm: bool = False
    """After each convolution."""


class MfccCnn(nn.Module):
    """Log-mel patches float32 [b, p, f, m] to embeddings float32 [b, d]: the mean over all samples.

    Each patch is cut into samples of `sample_frames`; what is left over at its end is not heard.
    """

    mean: Tensor
    inverse_deviation: Tensor

    def __init__(self, shape: CnnShape) -> None:
        super().__init__()
        self.shape = shape
        self.mfcc = Mfcc(shape.mel_bands, shape.coefficients)
        self.register_buffer("mean", torch.zeros(shape.coefficients))
        self.register_buffer("inverse_deviation", torch.ones(shape.coefficients))
        channels = [1, *(scaled(block, shape.width) for block in BLOCKS)]
        frames, coefficients = shape.sample_frames, shape.coefficients
        blocks: list[nn.Module] = []
        for before, after in pairwise(channels):
            blocks.append(_conv_pool(before, after, shape.batch_norm))
            frames, coefficients = frames // 2, coefficients // 2
        if not frames * coefficients:
            raise ValueError(f"samples of {shape.sample_frames} x {shape.coefficients} pool away to nothing")
        self.embedding_dim = scaled(DENSE, shape.width)
        self.blocks = nn.Sequential(*blocks)
        self.dense = nn.Linear(channels[-1] * frames * coefficients, self.embedding_dim)
        self.dropout = nn.Dropout(shape.dropout)
        self.apply(glorot)

    def standardise(self, log_mel: Tensor) -> None:
        """Take the coefficients' mean and deviation from training items float32 [..., m]."""
        with torch.no_grad():
            frames = self.mfcc(log_mel).reshape(-1, self.shape.coefficients)
        deviation = frames.std(dim=0, correction=0)
        self.mean.copy_(frames.mean(dim=0))
        constant = deviation < MIN_DEVIATION
        self.inverse_deviation.copy_(torch.where(constant, 0.0, 1.0 / deviation.clamp_min(MIN_DEVIATION)))

    def samples(self, log_mel: Tensor) -> Tensor:
        """Embeddings float32 [n, d] of single samples float32 [n, g, m]."""
        coefficients = (self.mfcc(log_mel) - self.mean) * self.inverse_deviation
        maps = self.blocks(coefficients[:, None])
        embedding: Tensor = self.dropout(torch.relu(self.dense(maps.flatten(1))))
        return embedding

    def forward(self, mel_patches: Tensor) -> Tensor:
        """The embeddings of a batch of recordings."""
        patches, frames = mel_patches.shape[1:3]
        count = patches * (frames // self.shape.sample_frames)
        each = self.samples(cut(mel_patches, self.shape.sample_frames))
        mean: Tensor = each.reshape(-1, count, self.embedding_dim).mean(dim=1)
        return mean


def cut(mel_patches: Tensor, sample_frames: int) -> Tensor:
    """Patches float32 [b, p, f, m] as samples float32 [n, g, m], those of one recording side by side."""
    frames, bands = mel_patches.shape[2:]
    whole = mel_patches[:, :, : frames // sample_frames * sample_frames]
    return whole.reshape(-1, sample_frames, bands)


def scaled(size: int, width: float) -> int:
    """A layer's size at a width, at least 1."""
    return max(1, round(size * width))


def glorot(module: nn.Module) -> None:
    """Keras's initial weights (Glorot & Bengio 2010) and zero biases, where the published network began."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def _conv_pool(before: int, after: int, batch_norm: bool) -> nn.Sequential:
    norm = [nn.BatchNorm2d(after)] if batch_norm else []
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), *norm, nn.ReLU(), nn.MaxPool2d(2))
