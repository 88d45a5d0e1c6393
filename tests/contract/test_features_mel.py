"""The log-mel front end against torchaudio's."""

import numpy as np
import pytest
from numpy.typing import NDArray

from genrestream.schemas.features import AudioFeatures
from genrestream.workers.features.mel import log_mel, mel_filters

torch = pytest.importorskip("torch")
torchaudio = pytest.importorskip("torchaudio")
pytestmark = pytest.mark.training

SPECS = [
    AudioFeatures(),
    AudioFeatures(sample_rate_hz=22_050, window_samples=1024, hop_samples=512, mel_bands=64),
    AudioFeatures(sample_rate_hz=8_000, window_samples=256, hop_samples=100, mel_bands=24),
]


def music(seconds: float, rate_hz: int) -> NDArray[np.float32]:
    """A falling chord with noise and a click: tones, broad band and transients."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    random = np.random.default_rng(7)
    samples = sum(
        0.2 * np.sin(2 * np.pi * frequency * times * (1 - 0.02 * times)) for frequency in (110, 880, 2500)
    )
    samples = samples + 0.05 * random.standard_normal(len(times))
    samples[len(samples) // 2] = 1.0
    return np.asarray(samples, np.float32)


def reference(samples: NDArray[np.float32], spec: AudioFeatures, *, center: bool) -> NDArray[np.float32]:
    """torchaudio's power mel spectrogram with musicnn's compression, float32 [f, m]."""
    transform = torchaudio.transforms.MelSpectrogram(
        sample_rate=spec.sample_rate_hz,
        n_fft=spec.window_samples,
        hop_length=spec.hop_samples,
        n_mels=spec.mel_bands,
        power=2.0,
        norm="slaney",
        mel_scale="slaney",
        center=center,
        pad_mode="reflect",
    )
    mel = transform(torch.from_numpy(samples)).numpy().T
    return np.asarray(np.log10(10_000 * mel + 1), np.float32)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.sample_rate_hz}-{spec.mel_bands}")
def test_log_mel_is_torchaudios(spec: AudioFeatures) -> None:
    """Same frames, same bands, within 1e-4, also where the samples are centred by reflection."""
    samples = music(5, spec.sample_rate_hz)
    np.testing.assert_allclose(log_mel(samples, spec), reference(samples, spec, center=False), atol=1e-4)
    centred = np.pad(samples, spec.window_samples // 2, mode="reflect")
    expected = reference(samples, spec, center=True)
    assert (
        log_mel(centred, spec).shape
        == expected.shape
        == (1 + len(samples) // spec.hop_samples, spec.mel_bands)
    )
    np.testing.assert_allclose(log_mel(centred, spec), expected, atol=1e-4)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.sample_rate_hz}-{spec.mel_bands}")
def test_filters_are_torchaudios(spec: AudioFeatures) -> None:
    """The triangles themselves, within 1e-6."""
    expected = torchaudio.functional.melscale_fbanks(
        n_freqs=spec.window_samples // 2 + 1,
        f_min=0.0,
        f_max=spec.sample_rate_hz / 2,
        n_mels=spec.mel_bands,
        sample_rate=spec.sample_rate_hz,
        norm="slaney",
        mel_scale="slaney",
    ).numpy()
    filters = mel_filters(spec.sample_rate_hz, spec.window_samples, spec.mel_bands)
    np.testing.assert_allclose(filters, expected, atol=1e-6)


def test_everything_stays_float32() -> None:
    """Half the memory traffic of float64, which NumPy before 2.0 would have made of it."""
    assert log_mel(music(1, 16_000), SPECS[0]).dtype == np.float32
