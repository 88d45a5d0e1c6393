"""The text that stands in a picture, by RapidOCR; runs in the picture readers' processes only.

RapidOCR (Apache-2.0) brings PaddleOCR's small detection and recognition networks as ONNX files in its wheel.
Legend: h height, w width.
"""

from functools import lru_cache
from typing import Any

from genrestream.schemas.features import ImageFeatures, PictureTextFeatures
from genrestream.workers.features.content import FeatureLimits
from genrestream.workers.features.errors import UnreadableMedia
from genrestream.workers.features.image import image_tensor, upright_size_px
from genrestream.workers.features.text import clean_fields

MIN_SIDE_PX = 16
"""The least that `ImageFeatures` may ask for; a picture this small holds no word."""

MAX_ASPECT_RATIO = 8
"""Of a taller picture nothing is read: enlarged to its least width it would fill gigabytes.
RapidOCR pads wider ones."""


def picture_text(data: bytes, spec: PictureTextFeatures, limits: FeatureLimits) -> tuple[str, ...]:
    """The lines in the picture that the reader is sure of, cleaned like any text; none is no error.

    Raises UnreadableMedia or MediaTooLarge.
    """
    if len(data) > limits.max_media_bytes:
        raise UnreadableMedia("the picture has too many bytes to be read")
    width_px, height_px = upright_size_px(data, limits)
    if height_px > MAX_ASPECT_RATIO * width_px:
        return ()
    scale = min(1.0, spec.longest_side_px / max(width_px, height_px))
    size = ImageFeatures(
        height_px=max(MIN_SIDE_PX, round(height_px * scale)),
        width_px=max(MIN_SIDE_PX, round(width_px * scale)),
    )
    # RapidOCR takes the channels in OpenCV's order.
    pixels = image_tensor(data, size, limits)[:, :, ::-1]
    found, _ = _reader(spec.shortest_side_px)(pixels.copy())
    lines = [text for _, text, confidence in found or () if float(confidence) >= spec.min_confidence]
    return clean_fields((" ".join(lines),), spec.max_chars)


@lru_cache(maxsize=2)
def _reader(shortest_side_px: int) -> Any:
    """Loaded once a process, on one thread: the pool has a process for each that is wanted."""
    from rapidocr_onnxruntime import RapidOCR  # noqa: PLC0415 - an extra, and half a second

    # Posters stand upright: whether a line stands on its head is not asked. Its own least side, 736 pixels,
    # costs twice the time of 360 for a tenth more characters.
    return RapidOCR(
        use_cls=False,
        text_score=0.0,
        det_limit_side_len=shortest_side_px,
        intra_op_num_threads=1,
        inter_op_num_threads=1,
    )
