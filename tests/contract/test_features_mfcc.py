"""The coefficients inside the graph, from the workers' log-mel, against torchaudio's MFCC."""

import numpy as np
import pytest

from genrestream.schemas.features import AudioFeatures
from genrestream.workers.features.mel import log_mel

torch = pytest.importorskip("torch")
torchaudio = pytest.importorskip("torchaudio")
pytestmark = pytest.mark.training

from genrestream.training.recipes.mfcc import FLOOR, Mfcc  # noqa: E402

RATE_HZ = 44_100
SPEC = AudioFeatures(sample_rate_hz=RATE_HZ, window_samples=2048, hop_samples=512, mel_bands=26)


def test_coefficients_are_torchaudios() -> None:
    """13 of 26 bands at 44.1 kHz with windows of 2,048 samples, within 0.01, for a chord over noise; the
    floor is ours, 80 dB below a full-scale tone rather than below the loudest frame of a batch."""
    times = np.arange(2 * RATE_HZ) / RATE_HZ
    chord = sum(0.2 * np.sin(2 * np.pi * frequency * times) for frequency in (110, 880, 2500, 9000))
    samples = (chord + 0.02 * np.random.default_rng(0).standard_normal(len(times))).astype(np.float32)
    transform = torchaudio.transforms.MFCC(
        sample_rate=RATE_HZ,
        n_mfcc=13,
        melkwargs={
            "n_fft": 2048,
            "hop_length": 512,
            "n_mels": 26,
            "norm": "slaney",
            "mel_scale": "slaney",
            "center": False,
        },
    )
    transform.amplitude_to_DB.top_db, transform.amplitude_to_DB.amin = None, FLOOR
    expected = transform(torch.from_numpy(samples)).numpy().T
    found = Mfcc(26, 13)(torch.from_numpy(log_mel(samples, SPEC))).numpy()
    assert expected.shape == found.shape == (169, 13)
    np.testing.assert_allclose(found, expected, atol=0.01)
