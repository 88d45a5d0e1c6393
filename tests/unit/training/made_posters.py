"""A small catalogue set of events whose genre stands in the text and on the poster, and in nothing else."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GENRES = ("JAZZ", "OPERA", "TECHNO")
ITEMS = 150


def poster(word: str, rng: np.random.Generator) -> bytes:
    """A PNG: the word somewhere on a colour that tells nothing, too small for the starter to see."""
    colour = tuple(int(level) for level in rng.integers(150, 256, 3))
    image = Image.new("RGB", (400, 300), colour)
    place = (int(rng.integers(10, 280)), int(rng.integers(10, 260)))
    ImageDraw.Draw(image).text(place, word, fill="black", font=ImageFont.load_default(24))
    target = io.BytesIO()
    image.save(target, "PNG")
    return target.getvalue()


def make_nights(folder: Path) -> Path:
    """Write the set."""
    rng = np.random.default_rng(0)
    (folder / "posters").mkdir(parents=True)
    lines = []
    for number in range(ITEMS):
        genre = GENRES[number % 3]
        (folder / "posters" / f"{number}.png").write_bytes(poster(genre, rng))
        title = f"{genre} {' '.join(rng.choice(['night', 'live', 'tonight', 'club', 'doors'], 3))}"
        item = {"kind": "event", "id": f"e{number}", "title": title, "poster": f"posters/{number}.png"}
        lines.append({**item, "labels": {"genres": [genre]}, "group": f"g{number}"})
    (folder / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder
