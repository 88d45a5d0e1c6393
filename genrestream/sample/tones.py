"""Music as a score for simple instruments: the genre decides tempo, scale, rhythm and timbre.

Legend: s samples, c channels. Amplitudes within -1..1.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genrestream.sample.genres import STEPS_A_BAR, Instrument, Scale, Sound, kind_vocabulary
from genrestream.sample.plan import ItemPlan, Rng

Wave = NDArray[np.float32]

_STRAY_TRAIT = 0.14
"""How often one trait of the sound (tempo, scale, lead, chords, bass, drums) is another genre's."""
_TABLE_SAMPLES = 2048

_SCALES: dict[Scale, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "blues": (0, 3, 4, 5, 7, 9, 10),
}
_PROGRESSIONS = ((0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 5, 3), (0, 0, 3, 4), (0, 6, 5, 4), (1, 4, 0, 0))
_HARMONICS: dict[Instrument, tuple[float, ...]] = {
    "sine": (1.0, 0.1),
    "square": (1.0, 0.0, 0.33, 0.0, 0.2, 0.0, 0.14, 0.0, 0.11),
    "saw": tuple(1.0 / k for k in range(1, 16)),
    "organ": (1.0, 0.8, 0.6, 0.5, 0.0, 0.4, 0.0, 0.3),
    "piano": (1.0, 0.5, 0.3, 0.2, 0.12, 0.08),
    "pluck": (1.0, 0.7, 0.5, 0.35, 0.3, 0.2, 0.15, 0.1),
    "strings": (1.0, 0.6, 0.5, 0.35, 0.25, 0.2, 0.15, 0.1, 0.08),
    "reed": (1.0, 0.2, 0.7, 0.15, 0.5, 0.1, 0.3),
    "guitar": (1.0, 0.9, 0.8, 0.6, 0.5, 0.45, 0.35, 0.3, 0.25, 0.2),
}
_ENVELOPES_S: dict[Instrument, tuple[float, float]] = {
    "sine": (0.01, 0.6),
    "square": (0.005, 0.8),
    "saw": (0.01, 0.6),
    "organ": (0.01, 3.0),
    "piano": (0.004, 0.5),
    "pluck": (0.002, 0.2),
    "strings": (0.12, 4.0),
    "reed": (0.04, 2.0),
    "guitar": (0.004, 0.9),
}
"""Attack time and time of decay to 1/e, seconds."""
_VIBRATO: dict[Instrument, float] = {"strings": 0.005, "reed": 0.008}
"""Depth relative to the frequency."""


@dataclass(frozen=True, slots=True)
class Score:
    """What is decided before the first sample is computed."""

    sound: Sound
    tempo_bpm: float
    root_midi: int
    progression: tuple[int, ...]


@dataclass(slots=True)
class _Desk:
    """Where the instruments come together: chords apart, since they may be overdriven."""

    rate_hz: int
    chords: Wave
    rest: Wave
    levels: NDArray[np.float64]
    """Of chords, bass, lead and drums."""
    cue_s: float = 0.0
    """When what is added starts."""

    @classmethod
    def of(cls, samples: int, rate_hz: int, rng: Rng) -> "_Desk":
        silence = np.zeros(samples, np.float32)
        return cls(rate_hz, silence, silence.copy(), rng.uniform(0.7, 1.3, 4))

    def add(self, track: Wave, level: float, wave: Wave) -> None:
        """Add `wave` at the cue; what reaches past the end is cut."""
        at = int(self.cue_s * self.rate_hz)
        room = max(track.size - at, 0)
        track[at : at + wave.size] += np.float32(level) * wave[:room]


def render_tones(plan: ItemPlan, duration_s: float, rate_hz: int) -> Wave:
    """The item's music, float32 [s], peak 0.5 to 0.9, with a little noise."""
    rng = plan.rng("audio")
    score = _compose(plan, rng)
    desk = _Desk.of(int(duration_s * rate_hz), rate_hz, rng)
    step_s = 60.0 / score.tempo_bpm / 4
    for bar in range(int(duration_s / (step_s * STEPS_A_BAR)) + 1):
        degree = score.progression[bar % len(score.progression)]
        for step in range(STEPS_A_BAR):
            late = score.sound.swing * 0.6 if step % 4 == 2 else 0.0
            desk.cue_s = (bar * STEPS_A_BAR + step + late) * step_s
            _play_step(score, degree, step, desk, rng)
    mix = desk.rest + _driven(desk.chords, score.sound.drive)
    mix += rng.normal(0, rng.uniform(0.002, 0.03), mix.size).astype(np.float32)
    return np.asarray(mix * (rng.uniform(0.5, 0.9) / np.abs(mix).max()), np.float32)


def _compose(plan: ItemPlan, rng: Rng) -> Score:
    everyone = [
        genre.sound for genre in kind_vocabulary(plan.kind).genres.values() if genre.sound is not None
    ]
    sounds = [kind_vocabulary(plan.kind).genres[name].sound for name in plan.genres]
    own = [sound for sound in sounds if sound is not None]

    def source() -> Sound:
        if rng.random() < _STRAY_TRAIT:
            return everyone[int(rng.integers(len(everyone)))]
        first = len(own) == 1 or rng.random() < 0.75
        return own[0] if first else own[int(rng.integers(1, len(own)))]

    drums, chords, bass, lead = source(), source(), source(), source()
    sound = Sound(
        tempo_bpm=source().tempo_bpm,
        scale=source().scale,
        swing=source().swing,
        drive=chords.drive,
        chords=chords.chords,
        chord_steps=chords.chord_steps,
        bass=bass.bass,
        bass_steps=bass.bass_steps,
        lead=lead.lead,
        lead_density=lead.lead_density,
        kick=drums.kick,
        snare=drums.snare,
        hat=drums.hat,
    )
    slow, fast = sound.tempo_bpm
    return Score(
        sound=sound,
        tempo_bpm=float(rng.uniform(0.93 * slow, 1.07 * fast)),
        root_midi=int(rng.integers(45, 57)),
        progression=_PROGRESSIONS[int(rng.integers(len(_PROGRESSIONS)))],
    )


def _play_step(score: Score, degree: int, step: int, desk: _Desk, rng: Rng) -> None:
    """Add what sounds on one sixteenth: chords, bass, lead, drums."""
    sound, step_s = score.sound, 60.0 / score.tempo_bpm / 4
    if sound.chord_steps[step] == "x":
        for third in (0, 2, 4):
            pitch = _pitch(score, degree + third) + 12
            desk.add(desk.chords, 0.2 * desk.levels[0], note(sound.chords, pitch, 4 * step_s, desk.rate_hz))
    if sound.bass_steps[step] == "x":
        pitch = _pitch(score, degree) - 12
        desk.add(desk.rest, 0.4 * desk.levels[1], note(sound.bass, pitch, 3 * step_s, desk.rate_hz))
    if rng.random() < sound.lead_density:
        pitch = _pitch(score, int(rng.integers(0, 9))) + 24
        desk.add(desk.rest, 0.22 * desk.levels[2], note(sound.lead, pitch, 3 * step_s, desk.rate_hz))
    for steps, drum in ((sound.kick, "kick"), (sound.snare, "snare"), (sound.hat, "hat")):
        if steps[step] == "x":
            desk.add(desk.rest, desk.levels[3] * rng.uniform(0.8, 1.0), _drum(drum, desk.rate_hz))


def _pitch(score: Score, degree: int) -> int:
    """The MIDI number of a degree of the score's scale."""
    scale = _SCALES[score.sound.scale]
    return score.root_midi + 12 * (degree // len(scale)) + scale[degree % len(scale)]


def _driven(wave: Wave, drive: float) -> Wave:
    """Overdrive: a soft limit after gain, as an amplifier's."""
    return wave if drive == 0 else np.asarray(0.6 * np.tanh(wave * (1 + 12 * drive)), np.float32)


@lru_cache(maxsize=512)
def note(instrument: Instrument, midi: int, length_s: float, rate_hz: int) -> Wave:
    """One note, float32 [s]; harmonics above the Nyquist frequency are left out."""
    frequency_hz = 440.0 * 2 ** ((midi - 69) / 12)
    time_s = np.arange(int(length_s * rate_hz), dtype=np.float32) / rate_hz
    phase = frequency_hz * time_s
    depth = _VIBRATO.get(instrument, 0.0)
    if depth:
        # The integral of a frequency that swings 5.5 times a second.
        phase = phase + frequency_hz * depth / (2 * np.pi * 5.5) * np.sin(2 * np.pi * 5.5 * time_s)
    heard = int(rate_hz / 2 // frequency_hz)
    table = _table(instrument, min(max(heard, 1), len(_HARMONICS[instrument])))
    wave = table[(phase * _TABLE_SAMPLES).astype(np.int64) % _TABLE_SAMPLES]
    attack_s, decay_s = _ENVELOPES_S[instrument]
    envelope = np.minimum(time_s / attack_s, 1.0) * np.exp(-time_s / decay_s)
    release = np.minimum((length_s - time_s) / 0.02, 1.0)
    return np.asarray(wave * envelope * release, np.float32)


@lru_cache(maxsize=128)
def _table(instrument: Instrument, harmonics: int) -> Wave:
    phase = 2 * np.pi * np.arange(_TABLE_SAMPLES) / _TABLE_SAMPLES
    parts = _HARMONICS[instrument][:harmonics]
    wave = sum(level * np.sin((k + 1) * phase) for k, level in enumerate(parts))
    return np.asarray(wave / np.abs(wave).max(), np.float32)


@lru_cache(maxsize=32)
def _drum(name: str, rate_hz: int) -> Wave:
    """A drum, float32 [s]; the noise is always the same, as from a drum machine."""
    rng = np.random.default_rng(len(name))
    time_s = np.arange(int(0.25 * rate_hz)) / rate_hz
    noise = rng.normal(0, 1, time_s.size)
    match name:
        case "kick":
            wave = (
                0.9 * np.sin(2 * np.pi * (45 * time_s - 6 * np.exp(-time_s / 0.03))) * np.exp(-time_s / 0.1)
            )
        case "snare":
            body = np.sin(2 * np.pi * 190 * time_s) * np.exp(-time_s / 0.05)
            wave = 0.25 * noise * np.exp(-time_s / 0.07) + 0.3 * body
        case _:
            # The difference of neighbouring samples leaves the high frequencies.
            wave = 0.1 * np.diff(noise, prepend=0.0) * np.exp(-time_s / 0.025)
    return np.asarray(wave, np.float32)
