"""How strongly a recording's loudness swings, and how fast: the modulation spectrum of its log-mel patches.

What music classifiers went by before networks (McKinney & Breebaart 2003, ISMIR). A network of convolutions
of a few frames hears timbre and no beat, and the mean over patches leaves none either. It stands beside the
network's embedding in the same graph, so that a worker makes no further feature for it.

Beside musicnn, mean of six seeds: songs' top-1 .834 to .841, macro-F1 .507 to .519, mean average precision
.585 to .587; tracks' .717 to .718, .391 to .392, .525 to .526. With the mean and deviation of each mel band,
and of MFCCs and their steps, as well, tracks fall to .714 and .522: musicnn knows timbre better than these.

Legend: b batch, p patches, f frames, m mel bands, k frequencies of modulation, g groups of these.
"""

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from genrestream.schemas import AudioFeatures

WIDE_BANDS = 12
"""Neighbouring mel bands together, whose swings are looked at."""
GROUP_EDGES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 27, 33, 40, 50, 64)
"""The frequencies of modulation, in cycles a patch, that are averaged. With patches of 3 s they go from a
third of a hertz, slower than any beat, to 21 Hz, where swings are heard as roughness."""
LEAST = 1e-10
"""Under square roots: silence has no slope there."""


class Rhythm(nn.Module):
    """float32 [b, p, f, m] to float32 [b, wide bands x g]: log(1 + amplitude), over all patches."""

    window: Tensor
    """[f, 1]"""
    cosines: Tensor
    sines: Tensor
    """[f, k]: the discrete Fourier transform over a patch's frames."""
    groups: Tensor
    """[k, g]: the mean over each group."""

    def __init__(self, features: AudioFeatures) -> None:
        super().__init__()
        frames = features.patch_frames
        self.wide_bands = math.gcd(features.mel_bands, WIDE_BANDS)
        edges = [edge for edge in GROUP_EDGES if edge <= frames // 2]
        cycles = np.arange(edges[-1])
        angles = 2 * np.pi * np.outer(np.arange(frames), cycles) / frames
        groups = np.zeros((len(cycles), len(edges) - 1))
        for group, (start, stop) in enumerate(pairwise(edges)):
            groups[start:stop, group] = 1.0 / (stop - start)
        fixed = {
            "window": np.hanning(frames)[:, None],
            "cosines": np.cos(angles),
            "sines": np.sin(angles),
            "groups": groups,
        }
        for name, values in fixed.items():
            self.register_buffer(name, torch.from_numpy(values.astype(np.float32)))

    def forward(self, mel_patches: Tensor) -> Tensor:
        """The spectra of a batch of recordings."""
        b, p, f, m = mel_patches.shape
        wide = mel_patches.reshape(b, p, f, self.wide_bands, m // self.wide_bands).mean(dim=4)
        swings = ((wide - wide.mean(dim=2, keepdim=True)) * self.window).transpose(2, 3)
        squares = (swings @ self.cosines).square() + (swings @ self.sines).square()
        amplitudes = (squares + LEAST).sqrt().mean(dim=1)
        return torch.log1p(amplitudes @ self.groups).flatten(1)
