"""The encoder of an earlier production-music classifier: MFCCs of one second as a picture, a 2-D CNN.

As it was published it predicted nothing: docs/collapse.md has the figures, and what cures it.
Legend: b batch, p patches, n samples of one second, f frames, g frames of a sample, m mel bands,
k coefficients, d embedding size.
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from genrestream.schemas.features import AudioFeatures
from genrestream.training.recipes.mfcc import Mfcc
from genrestream.training.recipes.spec_audio import MfccCnn

SAMPLE_RATE_HZ, WINDOW_SAMPLES, HOP_SAMPLES = 44_100, 2_048, 512
SAMPLE_FRAMES = SAMPLE_RATE_HZ // HOP_SAMPLES
"""86: one second."""
BLOCKS = (32, 64, 128)
"""Channels of the conv-pool blocks at width 1."""
DENSE = 128
MIN_DEVIATION = 1e-3
"""Decibels: a coefficient that varies less, as in silence, is constant."""


def mfcc_features(spec: MfccCnn) -> AudioFeatures:
    """Log-mel frames of the recording's middle as one patch, which the encoder cuts into samples."""
    return AudioFeatures(
        sample_rate_hz=SAMPLE_RATE_HZ,
        window_samples=WINDOW_SAMPLES,
        hop_samples=HOP_SAMPLES,
        mel_bands=spec.mel_bands,
        patch_frames=spec.middle_s * SAMPLE_FRAMES,
        patches=1,
        middle_s=spec.middle_s,
    )


class MfccEncoder(nn.Module):
    """Log-mel patches float32 [b, p, f, m] to embeddings float32 [b, d]: the mean over all samples.

    Each patch is cut into samples; what is left over at its end is not heard.
    """

    mean: Tensor
    inverse_deviation: Tensor

    def __init__(self, spec: MfccCnn, sample_frames: int = SAMPLE_FRAMES) -> None:
        """Raises ValueError when nothing of a sample is left after pooling."""
        super().__init__()
        self.sample_frames = sample_frames
        self.embedding_dim = scaled(DENSE, spec.width)
        self.mfcc = Mfcc(spec.mel_bands, spec.coefficients)
        self.register_buffer("mean", torch.zeros(spec.coefficients))
        self.register_buffer("inverse_deviation", torch.ones(spec.coefficients))
        channels = [1, *(scaled(block, spec.width) for block in BLOCKS)]
        pooled = (sample_frames >> len(BLOCKS)) * (spec.coefficients >> len(BLOCKS))
        if not pooled:
            raise ValueError(f"samples of {sample_frames} x {spec.coefficients} pool away to nothing")
        self.blocks = nn.Sequential(
            *(_conv_pool(before, after, spec.batch_norm) for before, after in pairwise(channels))
        )
        self.dense = nn.Linear(channels[-1] * pooled, self.embedding_dim)
        self.dropout = nn.Dropout(spec.dropout)
        self.apply(glorot)

    def standardise(self, log_mel: Tensor) -> None:
        """Bring each coefficient to mean 0 and deviation 1 over training items float32 [..., m]."""
        with torch.no_grad():
            frames = self.mfcc(log_mel).reshape(-1, len(self.mean))
        deviation = frames.std(dim=0, correction=0)
        self.mean.copy_(frames.mean(dim=0))
        constant = deviation < MIN_DEVIATION
        self.inverse_deviation.copy_(torch.where(constant, 0.0, 1.0 / deviation.clamp_min(MIN_DEVIATION)))

    def one_sample(self, mel_patches: Tensor, rng: np.random.Generator) -> Tensor:
        """One sample of each recording, by chance, as a patch of its own: float32 [b, 1, g, m]."""
        b, p, f, m = mel_patches.shape
        samples = cut(mel_patches, self.sample_frames).reshape(b, -1, self.sample_frames, m)
        chosen = torch.from_numpy(rng.integers(0, p * (f // self.sample_frames), b))
        return samples[torch.arange(b), chosen][:, None]

    def forward(self, mel_patches: Tensor) -> Tensor:
        """The embeddings of a batch of recordings."""
        patches, frames = mel_patches.shape[1:3]
        samples = cut(mel_patches, self.sample_frames)
        coefficients = (self.mfcc(samples) - self.mean) * self.inverse_deviation
        maps = self.blocks(coefficients[:, None])
        each = self.dropout(torch.relu(self.dense(maps.flatten(1))))
        count = patches * (frames // self.sample_frames)
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
