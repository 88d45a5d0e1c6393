"""A small set of tracks whose genres can be heard in a tone and read in the lyrics."""

import io
import json
import wave
from collections.abc import Mapping
from pathlib import Path

import numpy as np

RATE_HZ = 8_000
Genres = Mapping[str, tuple[float, str]]
"""By name: the tone's pitch in Hz, and words of the lyrics."""
GENRES: Genres = {
    "Folk": (220.0, "river mountain home winter"),
    "Techno": (880.0, "night machine light floor"),
    "Blues": (440.0, "woman train trouble morning"),
}
NOISE = "and the of my you a in to we it was"


def make_tracks(
    folder: Path, items: int, seconds: float = 1.2, seed: int = 0, genres: Genres = GENRES
) -> Path:
    """Write the set: groups of two, a recording of each, lyrics to two of three items."""
    rng = np.random.default_rng(seed)
    (folder / "audio").mkdir(parents=True)
    lines = []
    for index in range(items):
        genre = list(genres)[int(rng.integers(len(genres)))]
        pitch_hz, words = genres[genre]
        (folder / "audio" / f"{index}.wav").write_bytes(tone(rng, pitch_hz, seconds))
        lyrics = " ".join(
            word for _ in range(4) for word in [*rng.choice(NOISE.split(), 3), str(rng.choice(words.split()))]
        )
        item = {"kind": "track", "id": f"t{index}", "title": "untitled", "artist": "Somebody"}
        item |= {"audio": f"audio/{index}.wav", "lyrics": lyrics if index % 3 else None}
        lines.append({**item, "labels": {"genres": [genre]}, "group": f"g{index // 2}"})
    (folder / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def tone(rng: np.random.Generator, pitch_hz: float, seconds: float) -> bytes:
    """A WAV of a tone with two overtones, at any level, over noise."""
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    sound = sum(np.sin(2 * np.pi * pitch_hz * (k + 1) * times) / (k + 1) for k in range(3))
    sound = sound * rng.uniform(0.1, 0.4) + rng.normal(0, 0.02, len(times))
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes())
    return target.getvalue()
