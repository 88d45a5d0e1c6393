"""Two plain sounds whose tags a music network must tell apart. Legend: n samples."""

import numpy as np
from numpy.typing import NDArray

SECONDS = 12.0
BEAT_S = 60 / 126
"""126 beats a minute: house."""
NOTE_S = 1.5


def drum_machine(sample_rate_hz: int) -> NDArray[np.float32]:
    """A kick on each beat, a hi-hat between them and a pumping synthesiser bass, float32 [n] in -1..1."""
    rng = np.random.default_rng(0)
    times_s = np.arange(int(SECONDS * sample_rate_hz)) / sample_rate_hz
    since_beat_s = times_s % BEAT_S
    since_half_s = (times_s + BEAT_S / 2) % BEAT_S
    kick = np.sin(2 * np.pi * (50 * since_beat_s - 4 * np.exp(-30 * since_beat_s))) * np.exp(
        -12 * since_beat_s
    )
    hat = rng.standard_normal(times_s.size) * np.exp(-60 * since_half_s)
    saw = 2 * (times_s * 55 % 1) - 1
    bass = saw * np.minimum(1, since_beat_s / 0.2)
    chord = sum(2 * (times_s * hz % 1) - 1 for hz in (220.0, 261.6, 329.6)) * np.minimum(
        1, since_beat_s / 0.3
    )
    return _scaled(1.0 * kick + 0.2 * hat + 0.35 * bass + 0.1 * chord)


def lone_notes(sample_rate_hz: int) -> NDArray[np.float32]:
    """Single soft notes that die away, like a piano played slowly, float32 [n] in -1..1."""
    times_s = np.arange(int(SECONDS * sample_rate_hz)) / sample_rate_hz
    index = (times_s // NOTE_S).astype(int)
    since_note_s = times_s % NOTE_S
    hz = np.array([261.6, 329.6, 392.0, 523.3, 440.0, 349.2, 293.7, 261.6])[index % 8]
    partials = sum(
        np.sin(2 * np.pi * hz * number * since_note_s) * np.exp(-(2 + number) * since_note_s) / number**1.5
        for number in range(1, 7)
    )
    return _scaled(partials * np.minimum(1, since_note_s / 0.005))


def _scaled(samples: NDArray[np.float64]) -> NDArray[np.float32]:
    scaled: NDArray[np.float32] = (0.7 * samples / np.abs(samples).max()).astype(np.float32)
    return scaled
