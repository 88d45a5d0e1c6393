"""Pictures to uint8 tensors of the encoder's size: the whole picture, upright, on white.

Legend: h height, w width.
"""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,  # noqa: F401 - these register the formats, so that the first item does not pay for it
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

from genrestream.schemas.features import ImageFeatures
from genrestream.workers.features.content import FeatureLimits
from genrestream.workers.features.errors import MediaTooLarge, UnreadableMedia
from genrestream.workers.features.headers import jpeg_scans

# What scrapers find on the web. Formats that few publish and that have a history of holes (TIFF, PSD,
# EPS, ...) are left to the ingest side.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF")
# One process a core runs already, and each thread of a decoder reserves 72 MiB of address space.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
_JPEG_START = b"\xff\xd8\xff"
_EXIF_MARK = b"Exif\x00\x00"
# EXIF comes in one of the first segments, each of at most 64 KiB.
_EXIF_SEARCH_BYTES = 256 * 1024
_ORIENTATION_TAG = 0x0112
# EXIF 2.32, 4.6.4 A: how the stored picture is to be turned for viewing.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
_RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
# Reduce by a box filter first only where the picture is still 3 times too large after it: the result is
# within a level or two of the full filter, at a fraction of the cost for pictures of many megapixels.
_REDUCING_GAP = 3.0
# What Pillow's readers raise on broken files, over and above OSError, which most raise; AVIF's RuntimeError.
# Of what is otherwise a mistake in a program, all four mean a broken file there: a palette that lacks, a cut
# chunk, a mode that does not exist, a decoder that does not take what the header asks for.
_PILLOW_ERRORS = (
    OSError, ValueError, SyntaxError, EOFError, OverflowError, RuntimeError, struct.error, zlib.error,
    AssertionError, IndexError, KeyError, TypeError,
)  # fmt: skip


def image_tensor(data: bytes, spec: ImageFeatures, limits: FeatureLimits) -> NDArray[np.uint8]:
    """The picture as uint8 [h, w, 3], RGB, whatever its format; the content alone decides on that.

    The whole picture is kept, resized with antialiasing, turned upright as EXIF says, transparency laid
    on white; of an animation the first frame. Raises UnreadableMedia or MediaTooLarge.
    """
    if not data:
        raise UnreadableMedia("the picture is empty")
    if data.startswith(_JPEG_START):
        _check_scans(data, limits)
        tensor = _plain_jpeg(data, spec, limits)
        if tensor is not None:
            return tensor
    return _any_picture(data, spec, limits)


def upright_size_px(data: bytes, limits: FeatureLimits) -> tuple[int, int]:
    """Width and height of the picture as `image_tensor` sees it, from its header alone.

    Raises UnreadableMedia or MediaTooLarge.
    """
    try:
        with _opened(data) as image:
            _check_pixels(image.width, image.height, limits)
            sideways = _orientation(image) in _SIDEWAYS
            return (image.height, image.width) if sideways else (image.width, image.height)
    except Image.DecompressionBombError as error:
        raise MediaTooLarge(f"the picture has more than {limits.max_pixels:,} pixels") from error
    except _PILLOW_ERRORS as error:
        raise UnreadableMedia("not a picture of a known format") from error


def _plain_jpeg(data: bytes, spec: ImageFeatures, limits: FeatureLimits) -> NDArray[np.uint8] | None:
    """The picture by libjpeg-turbo, decoded at the smallest size that still holds the target.

    None for what it does not take: CMYK, and files that libjpeg warns about. Pillow decides on those:
    it reads over stray bytes and refuses truncated files.
    """
    try:
        height_px, width_px, colour_space, _ = simplejpeg.decode_jpeg_header(data)
        _check_pixels(width_px, height_px, limits)
        if colour_space in {"CMYK", "YCCK"}:
            return None
        orientation = _jpeg_orientation(data)
        sideways = orientation in _SIDEWAYS
        pixels = simplejpeg.decode_jpeg(
            data,
            "RGB",
            min_height=spec.width_px if sideways else spec.height_px,
            min_width=spec.height_px if sideways else spec.width_px,
        )
    except ValueError:
        return None
    # The decoder rounds a size such as 2100 / 8 = 262.5 up: the last row is only half covered.
    eighths = round(8 * max(pixels.shape[:2]) / max(height_px, width_px))
    box = (0.0, 0.0, width_px * eighths / 8, height_px * eighths / 8)
    return _finish(Image.fromarray(pixels), box, orientation, spec)


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """The picture with its header read; Pillow's warnings (many pixels, odd EXIF) stay off standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(BytesIO(data), formats=_FORMATS) as image:
            yield image


def _jpeg_orientation(data: bytes) -> int:
    """The EXIF orientation, 1 to 8; 1 when there is none. Read by Pillow only where there is EXIF at all."""
    if data.find(_EXIF_MARK, 0, _EXIF_SEARCH_BYTES) < 0:
        return 1
    try:
        with _opened(data) as image:
            return _orientation(image)
    except (*_PILLOW_ERRORS, Image.DecompressionBombError):
        return 1


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 also when the EXIF block is broken, which spoils no picture."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except _PILLOW_ERRORS:
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _any_picture(data: bytes, spec: ImageFeatures, limits: FeatureLimits) -> NDArray[np.uint8]:
    """The picture by Pillow: every format but plain JPEG."""
    try:
        with _opened(data) as image:
            _check_pixels(image.width, image.height, limits)
            orientation = _orientation(image)
            box = (0.0, 0.0, float(image.width), float(image.height))
            if image.format == "JPEG":
                # Reduced-size decoding as in the plain path, with room for either orientation.
                side_px = max(spec.height_px, spec.width_px)
                drafted = image.draft(None, (side_px, side_px))
                box = drafted[1] if drafted else box
            image.load()
            return _finish(_on_known_mode(image), box, orientation, spec)
    except Image.DecompressionBombError as error:
        raise MediaTooLarge(f"the picture has more than {limits.max_pixels:,} pixels") from error
    except UnidentifiedImageError as error:
        raise UnreadableMedia("not a picture of a known format") from error
    except _PILLOW_ERRORS as error:
        raise UnreadableMedia(f"the picture cannot be decoded: {error or type(error).__name__}") from error


def _check_pixels(width_px: int, height_px: int, limits: FeatureLimits) -> None:
    if width_px * height_px > limits.max_pixels:
        raise MediaTooLarge(
            f"the picture has {width_px} x {height_px} pixels, allowed are {limits.max_pixels:,}"
        )
    if max(width_px, height_px) > limits.max_side_px:
        raise MediaTooLarge(
            f"the picture has a side of {max(width_px, height_px)} pixels, allowed are {limits.max_side_px}"
        )


def _check_scans(data: bytes, limits: FeatureLimits) -> None:
    if jpeg_scans(data, limits.max_jpeg_scans + 1) > limits.max_jpeg_scans:
        raise MediaTooLarge(f"the picture has more than {limits.max_jpeg_scans} scans")


def _on_known_mode(image: Image.Image) -> Image.Image:
    """The picture as RGB, L or, with transparency, RGBA; 16-bit grey scaled to 8 bits."""
    if image.mode.startswith("I"):
        return Image.fromarray(_grey16_to_grey8(np.asarray(image)))
    if image.mode in {"RGB", "L"} and "transparency" not in image.info:
        return image
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _grey16_to_grey8(grey: NDArray[np.generic]) -> NDArray[np.uint8]:
    """65535 to 255 and 0 to 0, rounded; Pillow's own conversion clips everything above 255 to white."""
    levels = np.clip(grey.astype(np.int32), 0, 65_535)
    return ((levels + 128) // 257).astype(np.uint8)


def _finish(
    image: Image.Image, box: tuple[float, float, float, float], orientation: int, spec: ImageFeatures
) -> NDArray[np.uint8]:
    """Resize what lies in `box` (left, upper, right, lower), turn upright, lay on white.

    In this order, so that only the first step sees many pixels.
    """
    size = (spec.height_px, spec.width_px) if orientation in _SIDEWAYS else (spec.width_px, spec.height_px)
    image = image.resize(size, _RESAMPLING[spec.resize], box, _REDUCING_GAP)
    if orientation in _UPRIGHT:
        image = image.transpose(_UPRIGHT[orientation])
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))
