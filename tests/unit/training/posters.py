"""Generated posters for tests: a background, shapes and lettering, in the forms that scrapers meet."""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH_PX, HEIGHT_PX = 240, 360


def poster(seed: int, background: int | None = None) -> Image.Image:
    """A poster of its own; with `background`, on the background that others of that number share."""
    rng = np.random.default_rng([seed, 1])
    image = _background(np.random.default_rng([seed if background is None else background, 2]))
    draw = ImageDraw.Draw(image)
    for _ in range(6):
        left, top = (int(place) for place in rng.integers(0, (WIDTH_PX - 80, HEIGHT_PX - 120)))
        width, height = (int(size) for size in rng.integers((40, 40), (160, 200)))
        shape = draw.ellipse if rng.random() < 0.5 else draw.rectangle
        shape((left, top, left + width, top + height), fill=_colour(rng))
    for line in range(3):
        text = "".join(chr(letter) for letter in rng.integers(65, 91, 8))
        draw.text((20, 40 + 100 * line), text, fill=_colour(rng), font=ImageFont.load_default(40))
    return image


def encoded(image: Image.Image, kind: str = "JPEG", scale: float = 1.0, quality: int = 90) -> bytes:
    """The picture as a file, rescaled first."""
    size = (round(image.width * scale), round(image.height * scale))
    target = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(target, kind, quality=quality)
    return target.getvalue()


def _background(rng: np.random.Generator) -> Image.Image:
    """Clouds: three by two colours, blown up."""
    return Image.fromarray(rng.integers(0, 256, (3, 2, 3), dtype=np.uint8)).resize(
        (WIDTH_PX, HEIGHT_PX), Image.Resampling.BICUBIC
    )


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(level) for level in rng.integers(0, 256, 3))
    return red, green, blue
