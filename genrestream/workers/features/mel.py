"""Sound to log-mel frames.

Legend: n samples, f frames, k frequency bins, m mel bands.
"""

from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from genrestream.schemas.features import AudioFeatures

# musicnn's compression: log10(10000 x + 1) (Pons & Serra 2019, arXiv:1909.06654).
_GAIN = np.float32(10_000.0)

# Slaney's mel scale (Auditory Toolbox, 1998): linear below 1000 Hz, logarithmic above.
_LINEAR_HZ_PER_MEL = 200.0 / 3.0
_LOG_FROM_HZ = 1000.0
_LOG_FROM_MEL = _LOG_FROM_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def log_mel(samples: NDArray[np.float32], spec: AudioFeatures) -> NDArray[np.float32]:
    """Log-mel frames float32 [f, m], 0 or more, of mono samples float32 [n] in -1..1.

    f = 1 + (n - window_samples) // hop_samples: only whole windows; centring is done by what the caller
    puts around the samples. n must be window_samples or more.
    """
    windows = sliding_window_view(samples, spec.window_samples)[:: spec.hop_samples]
    # Without a norm NumPy takes its integer factor for a reason to compute in double, at several times the
    # cost; the window makes up for the norm.
    spectrum = np.fft.rfft(windows * _hann(spec.window_samples), norm="forward")  # complex64 [f, k]
    power = spectrum.real**2 + spectrum.imag**2
    mel = power @ mel_filters(spec.sample_rate_hz, spec.window_samples, spec.mel_bands)
    compressed: NDArray[np.float32] = np.log10(_GAIN * mel + np.float32(1.0))
    return compressed


@lru_cache(maxsize=8)
def _hann(window_samples: int) -> NDArray[np.float32]:
    """The periodic Hann window times its length, float32 [window_samples]."""
    phase = 2 * np.pi * np.arange(window_samples) / window_samples
    return (window_samples * (0.5 - 0.5 * np.cos(phase))).astype(np.float32)


@lru_cache(maxsize=8)
def mel_filters(sample_rate_hz: int, window_samples: int, mel_bands: int) -> NDArray[np.float32]:
    """Triangular filters float32 [k, m] from 0 Hz to half the sample rate, each of area 2 in Hz (Slaney)."""
    top_mel = _hz_to_mel(sample_rate_hz / 2)
    edges_hz = _mel_to_hz(np.linspace(0.0, top_mel, mel_bands + 2))
    bins_hz = np.linspace(0.0, sample_rate_hz / 2, window_samples // 2 + 1)
    left, centre, right = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising = (bins_hz[:, None] - left) / (centre - left)
    falling = (right - bins_hz[:, None]) / (right - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return (triangles * (2.0 / (right - left))).astype(np.float32)


def _hz_to_mel(hz: float) -> float:
    if hz < _LOG_FROM_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return float(_LOG_FROM_MEL + np.log(hz / _LOG_FROM_HZ) / _LOG_STEP)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    logarithmic = _LOG_FROM_HZ * np.exp(_LOG_STEP * (mel - _LOG_FROM_MEL))
    return np.where(mel < _LOG_FROM_MEL, mel * _LINEAR_HZ_PER_MEL, logarithmic)
