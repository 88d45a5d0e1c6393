"""A small catalogue set of podcasts whose genres can be read from words and cover colours."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

GENRES = {
    "Science": ("galaxy telescope particle laboratory", (30, 60, 200)),
    "Sports": ("goal referee stadium sprint", (40, 180, 60)),
    "Cooking": ("oven recipe garlic dessert", (210, 120, 30)),
}
NOISE = "weekly show with friends about stories new episode every monday listen"


Genres = Mapping[str, tuple[str, tuple[int, int, int]]]
"""By name: its words, and the colour of its covers."""


def make_set(
    folder: Path, items: int = 300, *, wrong: float = 0.0, seed: int = 0, genres: Genres = GENRES
) -> Path:
    """Write the set: groups of two, a cover on two of three items; a share of labels is drawn by chance."""
    rng, chance = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    (folder / "covers").mkdir(parents=True)
    lines = []
    for index in range(items):
        genre = list(genres)[int(rng.integers(len(genres)))]
        words, colour = genres[genre]
        text = " ".join([*rng.choice(words.split(), 2), *rng.choice(NOISE.split(), 6)])
        item: dict[str, Any] = {"kind": "podcast", "id": f"p{index}", "title": text, "author": "Somebody"}
        if index % 3:
            item["cover"] = f"covers/{index}.png"
            (folder / item["cover"]).write_bytes(picture(rng, colour))
        label = list(genres)[int(rng.integers(len(genres)))] if chance.random() < wrong else genre
        lines.append({**item, "labels": {"genres": [label]}, "group": f"g{index // 2}"})
    (folder / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def picture(rng: np.random.Generator, colour: tuple[int, int, int]) -> bytes:
    """A PNG of noise around a colour."""
    pixels = np.clip(np.array(colour) + rng.normal(size=(60, 60, 3)) * 40, 0, 255).astype(np.uint8)
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()
