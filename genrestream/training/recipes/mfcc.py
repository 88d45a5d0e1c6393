"""Mel-frequency cepstral coefficients inside the graph, from the log-mel patches that workers make.

MFCCs are a fixed linear map of the log of the mel bands, so serving needs no features of its own for them.
Legend: m mel bands, k coefficients.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

GAIN = 10_000.0
"""Of the workers' log10(10000 x + 1), which is undone here."""

FLOOR = 1e-4
"""Power below it counts as -40 dB: 80 dB, librosa's `top_db`, below the loudest band of a full-scale tone,
which is about 40 dB with windows of 2,048 samples. It is also where 10000 x + 1 in float32 still tells x to
one part in ten million."""


class Mfcc(nn.Module):
    """Log-mel float32 [..., m] to coefficients float32 [..., k]: those of librosa and torchaudio.

    Decibels of the power mel spectrum, then the orthonormal DCT-II (Davis & Mermelstein 1980), of which the
    first k are kept. Coefficient 0 is the sum of the bands' decibels over the root of m.
    """

    cosines: Tensor

    def __init__(self, mel_bands: int, coefficients: int) -> None:
        """Raises ValueError for more coefficients than bands."""
        super().__init__()
        if not 1 <= coefficients <= mel_bands:
            raise ValueError(f"{coefficients} coefficients of {mel_bands} mel bands")
        cosines = dct_matrix(mel_bands)[:, :coefficients]
        self.register_buffer("cosines", torch.from_numpy(cosines.astype(np.float32)))

    def forward(self, log_mel: Tensor) -> Tensor:
        """The coefficients of each frame."""
        power = (torch.exp(log_mel * math.log(10.0)) - 1.0) / GAIN
        decibels = 10.0 * torch.log10(power.clamp_min(FLOOR))
        return decibels @ self.cosines


def dct_matrix(size: int) -> NDArray[np.float64]:
    """The orthonormal DCT-II float64 [size, size]: a column a coefficient, scipy.fft.dct(norm="ortho")."""
    places = (np.arange(size) + 0.5) * np.pi / size
    cosines = np.cos(places[:, None] * np.arange(size)[None, :]) * np.sqrt(2.0 / size)
    cosines[:, 0] = np.sqrt(1.0 / size)
    matrix: NDArray[np.float64] = cosines
    return matrix
