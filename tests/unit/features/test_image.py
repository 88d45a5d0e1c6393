"""Pictures to uint8 tensors."""

import warnings
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from genrestream.schemas.features import ImageFeatures
from genrestream.workers.features.content import FeatureLimits
from genrestream.workers.features.errors import MediaError, MediaTooLarge, UnreadableMedia
from genrestream.workers.features.image import image_tensor

SPEC = ImageFeatures(height_px=48, width_px=32)
LIMITS = FeatureLimits()
SaveImage = Callable[..., bytes]

RED, GREEN, BLUE, YELLOW = (220, 20, 20), (20, 200, 20), (20, 20, 220), (220, 220, 20)


def quarters(width_px: int = 96, height_px: int = 144) -> Image.Image:
    """Red and green above, blue and yellow below."""
    image = Image.new("RGB", (width_px, height_px), RED)
    image.paste(GREEN, (width_px // 2, 0, width_px, height_px // 2))
    image.paste(BLUE, (0, height_px // 2, width_px // 2, height_px))
    image.paste(YELLOW, (width_px // 2, height_px // 2, width_px, height_px))
    return image


def corners(tensor: np.ndarray) -> list[tuple[int, ...]]:
    """The colours in the middle of each quarter: upper left, upper right, lower left, lower right."""
    height_px, width_px, _ = tensor.shape
    rows, columns = (height_px // 4, 3 * height_px // 4), (width_px // 4, 3 * width_px // 4)
    return [tuple(int(level) for level in tensor[row, column]) for row in rows for column in columns]


def assert_quarters(data: bytes, tolerance: int) -> None:
    tensor = image_tensor(data, SPEC, LIMITS)
    assert (tensor.shape, tensor.dtype) == ((48, 32, 3), "uint8")
    np.testing.assert_allclose(corners(tensor), [RED, GREEN, BLUE, YELLOW], atol=tolerance)


@pytest.mark.parametrize(
    ("format_name", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95}, 4),
        ("JPEG", {"quality": 95, "progressive": True}, 4),
        ("JPEG", {"quality": 95, "subsampling": 0}, 4),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 8),
        ("BMP", {}, 0),
        ("AVIF", {"quality": 95}, 8),
    ],
)
def test_formats(save_image: SaveImage, format_name: str, options: dict[str, object], tolerance: int) -> None:
    """Every format shows the same picture at the encoder's size, all of its quarters in their place."""
    assert_quarters(save_image(quarters(), format_name, **options), tolerance)


@pytest.mark.parametrize("size", [(3000, 200), (200, 3000), (10, 15), (1, 1)])
def test_whole_picture_is_kept_in_any_shape(save_image: SaveImage, size: tuple[int, int]) -> None:
    """Wide, tall and tiny pictures are stretched to the size, not cropped."""
    for format_name in ("PNG", "JPEG"):
        tensor = image_tensor(save_image(quarters(*size), format_name), SPEC, LIMITS)
        assert tensor.shape == (48, 32, 3)
        if min(size) > 10:
            np.testing.assert_allclose(corners(tensor), [RED, GREEN, BLUE, YELLOW], atol=4)


def test_palette(save_image: SaveImage) -> None:
    """Palette pictures show their colours, not their indices; GIF's palette is one."""
    palette = quarters().quantize(16)
    assert_quarters(save_image(palette, "PNG"), 4)
    assert_quarters(save_image(palette, "GIF"), 4)


def test_cmyk_jpeg(save_image: SaveImage) -> None:
    """A picture for print: Adobe's CMYK is inverted and must not show as a negative."""
    assert_quarters(save_image(quarters().convert("CMYK"), "JPEG", quality=95), 6)


def test_grey_jpeg_and_png(save_image: SaveImage) -> None:
    """One channel becomes three equal ones; a bilevel picture black and white."""
    grey = Image.new("L", (50, 50), 90)
    for format_name in ("JPEG", "PNG"):
        tensor = image_tensor(save_image(grey, format_name), SPEC, LIMITS)
        np.testing.assert_array_equal(tensor, np.full((48, 32, 3), 90))
    bilevel = image_tensor(save_image(Image.new("1", (50, 50), 1), "PNG"), SPEC, LIMITS)
    assert (bilevel == 255).all()


def test_sixteen_bit_png_is_scaled(save_image: SaveImage) -> None:
    """32768 of 65535 is 128 of 255 and 256 is 1; clipping would make both white."""
    ramp = np.full((40, 40), 32768, np.uint16)
    ramp[:20] = 256
    tensor = image_tensor(save_image(Image.fromarray(ramp), "PNG"), SPEC, LIMITS)
    assert corners(tensor) == [(1, 1, 1), (1, 1, 1), (128, 128, 128), (128, 128, 128)]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_on_white(save_image: SaveImage, mode: str) -> None:
    """Where nothing is, white shows; half-transparent black over white is grey; opaque black stays."""
    image = Image.new("LA", (90, 90), (0, 0))
    image.paste((0, 255), (0, 45, 90, 90))
    data = save_image(image.convert("RGBA").quantize(8) if mode == "P" else image.convert(mode), "PNG")
    assert corners(image_tensor(data, SPEC, LIMITS)) == [(255,) * 3, (255,) * 3, (0,) * 3, (0,) * 3]


def test_half_transparency(save_image: SaveImage) -> None:
    """Black at alpha 128 over white is 127: 255 x (1 - 128 / 255)."""
    data = save_image(Image.new("RGBA", (64, 64), (0, 0, 0, 128)), "WEBP", lossless=True, exact=True)
    assert corners(image_tensor(data, SPEC, LIMITS)) == [(127,) * 3] * 4


def test_hidden_colours_do_not_bleed(save_image: SaveImage) -> None:
    """What lies under full transparency takes no part in the resampling at the border."""
    image = Image.new("RGBA", (97, 97), (0, 255, 0, 0))
    image.paste((200, 200, 200, 255), (49, 0, 97, 97))
    tensor = image_tensor(save_image(image, "PNG"), SPEC, LIMITS).astype(int)
    assert abs(tensor[..., 1] - tensor[..., 0]).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP"])
def test_exif_rotation(save_image: SaveImage, format_name: str, orientation: int) -> None:
    """All eight orientations come out upright: the picture is stored turned the other way."""
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    image = quarters(192, 288)
    if orientation in stored:
        image = image.transpose(stored[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_quarters(save_image(image, format_name, exif=exif, quality=95), 8)


def test_broken_exif_spoils_no_picture(save_image: SaveImage) -> None:
    """An EXIF block of rubbish is passed over."""
    assert_quarters(
        save_image(quarters(), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff", quality=95), 4
    )


@pytest.mark.parametrize("format_name", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation(save_image: SaveImage, format_name: str) -> None:
    """The first of two frames is the picture."""
    options = {"lossless": True} if format_name == "WEBP" else {}
    black = Image.new("RGB", (96, 144), "black")
    data = save_image(quarters(), format_name, save_all=True, append_images=[black], duration=100, **options)
    with Image.open(BytesIO(data)) as image:
        assert image.n_frames == 2
    assert_quarters(data, 8)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "WEBP"])
@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_truncated_pictures_are_unreadable(save_image: SaveImage, format_name: str, share: float) -> None:
    """A part of a picture is not the picture: half a poster in grey would be labelled with confidence."""
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 160, 3), np.uint8))
    data = save_image(noise, format_name)
    with pytest.raises(UnreadableMedia):
        image_tensor(data[: int(share * len(data))], SPEC, LIMITS)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<!DOCTYPE html><html><body>404</body></html>",
        b"ID3\x04\x00\x00\x00\x00\x00\x00",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    ],
)
def test_what_is_no_picture_is_unreadable(data: bytes) -> None:
    """Empty and headless files, vector graphics, web pages, sound and PostScript."""
    with pytest.raises(UnreadableMedia):
        image_tensor(data, SPEC, LIMITS)


def test_stray_bytes_are_read_over(save_image: SaveImage) -> None:
    """Bytes behind the picture are common and harmless."""
    assert_quarters(save_image(quarters(), "JPEG", quality=95) + b"\x00" * 100, 4)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "GIF"])
def test_pixels_are_limited_by_the_header(save_image: SaveImage, format_name: str) -> None:
    """97 x 100 pixels where 9,600 are allowed; 96 x 100 are read."""
    limits = FeatureLimits(max_pixels=9_600)
    with pytest.raises(MediaTooLarge, match=r"the picture has 97 x 100 pixels, allowed are 9,600"):
        image_tensor(save_image(Image.new("RGB", (97, 100)), format_name), SPEC, limits)
    assert image_tensor(save_image(Image.new("RGB", (96, 100)), format_name), SPEC, limits).any() == 0


@pytest.mark.parametrize("side_px", [12_000, 30_000])
def test_bombs_are_refused_without_decoding(save_image: SaveImage, side_px: int) -> None:
    """A few kilobytes that unpack to 144 or 900 million pixels: no memory for them, no warning."""
    bomb = bytearray(save_image(Image.new("1", (64, 64)), "PNG"))
    bomb[16:24] = side_px.to_bytes(4, "big") * 2
    import zlib

    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(MediaTooLarge, match="the picture has"):
            image_tensor(bytes(bomb), SPEC, LIMITS)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_damaged_pictures_never_raise_anything_else(format_name: str, seed: int) -> None:
    """Whatever bytes are changed, cut or inserted: a tensor of the right shape or a MediaError."""
    random = np.random.default_rng(seed)
    buffer = BytesIO()
    quarters(40, 60).save(buffer, format_name)
    data = bytearray(buffer.getvalue())
    for _ in range(random.integers(1, 20)):
        position = int(random.integers(0, min(len(data), 400)))
        data[position : position + int(random.integers(0, 3))] = random.bytes(int(random.integers(0, 3)))
    try:
        tensor = image_tensor(bytes(data), SPEC, LIMITS)
    except MediaError:
        return
    assert (tensor.shape, tensor.dtype) == ((48, 32, 3), "uint8")
