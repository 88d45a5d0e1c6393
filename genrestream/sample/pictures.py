"""Posters and covers: the genre decides colours, shapes, layout and texture, with a share of chance in each.

Legend: h height, w width.
"""

import colorsys
import io
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from genrestream.sample.genres import Layout, Look, Shape, Texture, kind_vocabulary
from genrestream.sample.plan import ItemPlan, Rng
from genrestream.schemas import Kind

Colour = tuple[int, int, int]

_STRAY_TRAIT = 0.2
"""How often one trait of the look (hues, darkness, shapes, layout, texture) is another genre's."""
_POSTER_HEIGHTS_PX = (320, 360, 400)
_COVER_SIDES_PX = (240, 300, 360)


def draw_picture(plan: ItemPlan, title: str | None) -> tuple[str, bytes]:
    """The suffix of the file (`.jpg`, `.png`, `.webp`) and the bytes of the item's poster or cover."""
    rng = plan.rng("image")
    look = _look(plan, rng)
    size = _size(plan.kind, rng)
    ground, ink, accent = _palette(look, rng)
    picture = Image.new("RGB", size, ground)
    _gradient(picture, ground, accent, rng)
    canvas = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 3))):
        _SHAPES[look.shapes](canvas, size, accent if rng.random() < 0.7 else ink, rng)
    _write(canvas, look.layout, ink, title, rng)
    return _encoded(_textured(picture, look.texture, rng), rng)


def _look(plan: ItemPlan, rng: Rng) -> Look:
    """The look of one of the item's genres, mostly the first, some traits of which are another genre's."""
    genres = kind_vocabulary(plan.kind).genres
    everyone = tuple(genres)

    def source() -> Look:
        if rng.random() < _STRAY_TRAIT:
            return genres[everyone[int(rng.integers(len(everyone)))]].picture
        first = len(plan.genres) == 1 or rng.random() < 0.75
        return genres[
            plan.genres[0] if first else plan.genres[int(rng.integers(1, len(plan.genres)))]
        ].picture

    return Look(
        hues=source().hues,
        darkness=source().darkness,
        shapes=source().shapes,
        layout=source().layout,
        texture=source().texture,
    )


def _size(kind: Kind, rng: Rng) -> tuple[int, int]:
    """Width and height in pixels: posters upright (about 2:3), covers square."""
    if kind is Kind.EVENT:
        height = int(rng.choice(_POSTER_HEIGHTS_PX))
        return int(height * rng.uniform(0.64, 0.74)), height
    side = int(rng.choice(_COVER_SIDES_PX))
    return side, side


def _palette(look: Look, rng: Rng) -> tuple[Colour, Colour, Colour]:
    """Ground, ink and accent."""

    def colour(hue: float, saturation: float, value: float) -> Colour:
        hue = (hue + rng.normal(0, 0.035)) % 1.0
        parts = colorsys.hsv_to_rgb(hue, _unit(saturation), _unit(value))
        return (int(255 * parts[0]), int(255 * parts[1]), int(255 * parts[2]))

    light = 1.0 - look.darkness + rng.normal(0, 0.1)
    ground = colour(look.hues[0], rng.uniform(0.3, 0.8), 0.12 + 0.85 * light)
    accent = colour(look.hues[1], rng.uniform(0.5, 1.0), rng.uniform(0.5, 1.0))
    ink = colour(look.hues[1], rng.uniform(0.0, 0.3), 0.95 if light < 0.55 else 0.12)
    return ground, ink, accent


def _unit(value: float) -> float:
    return min(max(float(value), 0.0), 1.0)


def _gradient(picture: Image.Image, ground: Colour, accent: Colour, rng: Rng) -> None:
    strength = float(rng.uniform(0.0, 0.5))
    ramp = np.linspace(0.0, strength, picture.height)[:, None, None]
    if rng.random() < 0.5:
        ramp = ramp[::-1]
    mixed = (1 - ramp) * np.array(ground) + ramp * np.array(accent)
    rows = np.broadcast_to(mixed, (picture.height, picture.width, 3)).astype(np.uint8)
    picture.paste(Image.fromarray(rows))


def _grid(canvas: ImageDraw.ImageDraw, size: tuple[int, int], colour: Colour, rng: Rng) -> None:
    step = int(rng.integers(18, 44))
    for x in range(int(rng.integers(step)), size[0], step):
        canvas.line([(x, 0), (x, size[1])], fill=colour, width=2)
    for y in range(int(rng.integers(step)), size[1], step):
        canvas.line([(0, y), (size[0], y)], fill=colour, width=2)


def _circles(canvas: ImageDraw.ImageDraw, size: tuple[int, int], colour: Colour, rng: Rng) -> None:
    x, y = rng.uniform(0.2, 0.8, 2) * size
    outermost = float(rng.uniform(0.3, 0.5)) * size[0]
    rings = int(rng.integers(2, 6))
    for ring in range(rings):
        radius = outermost * (1 - ring / rings)
        canvas.ellipse(
            [x - radius, y - radius, x + radius, y + radius], outline=colour, width=int(rng.integers(3, 9))
        )


def _zigzags(canvas: ImageDraw.ImageDraw, size: tuple[int, int], colour: Colour, rng: Rng) -> None:
    teeth = int(rng.integers(5, 12))
    for _ in range(int(rng.integers(2, 6))):
        y, swing = rng.uniform(0, size[1]), rng.uniform(15, 45)
        points = [(size[0] * i / teeth, y + (swing if i % 2 else -swing)) for i in range(teeth + 1)]
        canvas.line(points, fill=colour, width=int(rng.integers(3, 9)))


def _blobs(canvas: ImageDraw.ImageDraw, size: tuple[int, int], colour: Colour, rng: Rng) -> None:
    for _ in range(int(rng.integers(3, 8))):
        x, y = rng.uniform(0, 1, 2) * size
        wide, high = rng.uniform(0.06, 0.2, 2) * size[0]
        canvas.ellipse([x - wide, y - high, x + wide, y + high], fill=colour)


def _rays(canvas: ImageDraw.ImageDraw, size: tuple[int, int], colour: Colour, rng: Rng) -> None:
    x, y = rng.uniform(0.3, 0.7, 2) * size
    far, count, turn = 2.0 * max(size), int(rng.integers(7, 16)), rng.uniform(0, math.pi)
    width = 0.35 * math.pi / count
    for ray in range(count):
        angle = turn + 2 * math.pi * ray / count
        edges = [
            (x + far * math.cos(angle + side), y + far * math.sin(angle + side)) for side in (-width, width)
        ]
        canvas.polygon([(x, y), *edges], fill=colour)


def _waves(canvas: ImageDraw.ImageDraw, size: tuple[int, int], colour: Colour, rng: Rng) -> None:
    length, height = rng.uniform(50, 160), rng.uniform(8, 26)
    for y in np.arange(rng.uniform(10, 40), size[1], rng.uniform(24, 60)):
        points = [(x, y + height * math.sin(2 * math.pi * x / length)) for x in range(0, size[0] + 6, 6)]
        canvas.line(points, fill=colour, width=4)


def _frames(canvas: ImageDraw.ImageDraw, size: tuple[int, int], colour: Colour, rng: Rng) -> None:
    gap = int(rng.integers(12, 26))
    for inset in range(gap // 2, min(size) // 3, gap):
        box = [inset, inset, size[0] - inset, size[1] - inset]
        canvas.rectangle(box, outline=colour, width=int(rng.integers(2, 6)))


_SHAPES: dict[Shape, Callable[[ImageDraw.ImageDraw, tuple[int, int], Colour, Rng], None]] = {
    "grid": _grid,
    "circles": _circles,
    "zigzags": _zigzags,
    "blobs": _blobs,
    "rays": _rays,
    "waves": _waves,
    "frames": _frames,
}
_TITLE_TOP: dict[Layout, float] = {"top": 0.06, "centre": 0.42, "bottom": 0.78, "left": 0.3}


def _write(canvas: ImageDraw.ImageDraw, layout: Layout, ink: Colour, title: str | None, rng: Rng) -> None:
    """The title, then bars as lines of small print; Pillow's own font knows Latin letters only."""
    width, height = canvas.im.size
    y = (_TITLE_TOP[layout] + rng.normal(0, 0.02)) * height
    x, wide = (0.06, 0.4) if layout == "left" else (0.1, 0.8)
    if title is not None and title.isascii():
        font = ImageFont.load_default(size=int(rng.integers(15, 24)))
        canvas.text((x * width, y), title[: int(60 * wide)], fill=ink, font=font)
    for bar in range(1, int(rng.integers(3, 6))):
        top = y + 22 + bar * 9
        canvas.rectangle([x * width, top, (x + wide * rng.uniform(0.4, 1.0)) * width, top + 4], fill=ink)


def _textured(picture: Image.Image, texture: Texture, rng: Rng) -> Image.Image:
    pixels: NDArray[np.float32] = np.asarray(picture, np.float32)
    height, width = pixels.shape[:2]
    pixels = pixels + rng.normal(0, rng.uniform(2, 12), (height, width, 1)).astype(np.float32)
    match texture:
        case "grain":
            pixels += rng.normal(0, rng.uniform(15, 35), (height, width, 1)).astype(np.float32)
        case "scanlines":
            pixels[:: int(rng.integers(3, 6))] *= rng.uniform(0.4, 0.7)
        case "halftone":
            y, x = np.mgrid[:height, :width]
            pitch = rng.uniform(0.5, 0.9)
            pixels *= (0.8 + 0.25 * np.sin(pitch * x) * np.sin(pitch * y))[..., None].astype(np.float32)
        case "smooth":
            pass
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _encoded(picture: Image.Image, rng: Rng) -> tuple[str, bytes]:
    """Mostly JPEG of varying quality, a few greyscale or CMYK; PNG and WebP besides, as on the web."""
    draw, buffer = rng.random(), io.BytesIO()
    if draw < 0.08:
        picture.save(buffer, "PNG")
        return ".png", buffer.getvalue()
    if draw < 0.12:
        picture.save(buffer, "WEBP", quality=80, method=0)
        return ".webp", buffer.getvalue()
    mode = "L" if draw < 0.15 else "CMYK" if draw < 0.17 else "RGB"
    picture.convert(mode).save(buffer, "JPEG", quality=int(rng.integers(55, 92)))
    return ".jpg", buffer.getvalue()
