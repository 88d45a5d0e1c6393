"""Texts read from pictures by the real RapidOCR, in processes of their own."""

import asyncio
import io

import pytest
from PIL import Image, ImageDraw, ImageFont

from genrestream.schemas.features import PictureTextFeatures
from genrestream.workers.features.content import PICTURE_READER
from genrestream.workers.picture_reader import PictureReader, ReaderLimits
from genrestream.workers.protocols import Reading

pytest.importorskip(PICTURE_READER)

SPEC = PictureTextFeatures()


def picture(*lines: str) -> bytes:
    """A PNG with these lines in black on white."""
    image = Image.new("RGB", (480, 320), "white")
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        draw.text((30, 30 + 90 * number), line, fill="black", font=ImageFont.load_default(56))
    target = io.BytesIO()
    image.save(target, "PNG")
    return target.getvalue()


def strip() -> bytes:
    """A PNG so narrow that RapidOCR would enlarge it to more than a gigabyte of numbers."""
    target = io.BytesIO()
    Image.new("RGB", (16, 5000), "white").save(target, "PNG")
    return target.getvalue()


async def read(*pictures: bytes, **limits: float) -> tuple[list[tuple[str, ...]], list[Reading]]:
    """The texts of the pictures, all asked for at once, and what came of each."""
    readings: list[Reading] = []
    async with PictureReader(ReaderLimits(**limits), on_reading=readings.append) as reader:
        texts = await asyncio.gather(*(reader.read(each, SPEC) for each in pictures))
    return texts, readings


async def test_a_picture_says_what_stands_in_it():
    """Line by line, as one text; one without a letter says nothing, and what is no picture neither."""
    texts, readings = await read(picture("JAZZ", "TONIGHT"), picture(), b"no picture", deadline_s=30.0)
    ((text,), *others) = texts
    assert text.upper().split() == ["JAZZ", "TONIGHT"]
    assert others == [(), ()]
    assert readings == [Reading.READ, Reading.NOTHING, Reading.UNREADABLE]


async def test_a_strip_is_not_enlarged():
    """Where a poster is read there is room for it."""
    _, readings = await read(strip(), picture("JAZZ"), memory_bytes=2**30, deadline_s=30.0)
    assert readings == [Reading.NOTHING, Reading.READ]


async def test_a_slow_picture_costs_its_own_text():
    """Its process ends at the deadline, and the item goes on."""
    readings: list[Reading] = []
    async with PictureReader(ReaderLimits(deadline_s=0.001), on_reading=readings.append) as reader:
        assert await reader.read(picture("JAZZ"), SPEC) == ()
    assert readings == [Reading.TIMEOUT]


async def test_waiting_for_a_process_counts():
    """A picture that stands behind others for so long has no text either; the one after it is read."""
    readings: list[Reading] = []
    async with PictureReader(ReaderLimits(deadline_s=30.0), on_reading=readings.append) as reader:
        reader._limits = ReaderLimits(deadline_s=0.05)
        async with reader._room:
            assert await reader.read(picture("JAZZ"), SPEC) == ()
        reader._limits = ReaderLimits(deadline_s=30.0)
        assert await reader.read(picture("JAZZ"), SPEC) == ("JAZZ",)
    assert readings == [Reading.TIMEOUT, Reading.READ]


async def test_more_pictures_than_may_wait_are_not_read():
    """Their items go on without a text at once."""
    texts, readings = await read(*[picture("JAZZ")] * 4, max_waiting=2, deadline_s=30.0)
    assert sorted(readings) == [Reading.READ, Reading.READ, Reading.REFUSED, Reading.REFUSED]
    assert sum(map(bool, texts)) == 2


async def test_what_takes_too_much_memory_costs_its_own_text():
    """The process says so or dies, and neither reaches the worker."""
    _, readings = await read(picture("JAZZ"), memory_bytes=64 * 2**20, deadline_s=30.0)
    assert readings[0] in {Reading.UNREADABLE, Reading.CRASHED}
