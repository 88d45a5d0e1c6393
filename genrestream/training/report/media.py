"""Items' pictures and sound on the page: small, bounded, and within the page itself as data URIs.

Only what the processes of the embedding pool have decoded is opened here: a medium on which a decoder dies
or hangs never got that far.
"""

import base64
from io import BytesIO

import av
import numpy as np
import simplejpeg
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from genrestream.schemas.features import ImageFeatures
from genrestream.schemas.items import Modality
from genrestream.training.catalogue import Example
from genrestream.training.contents import read_content
from genrestream.workers.features.content import DEFAULT_LIMITS
from genrestream.workers.features.errors import MediaError
from genrestream.workers.features.image import image_tensor, upright_size_px
from genrestream.workers.features.recording import Recording

PICTURE_SIDE_PX = 200
"""The longer side."""
MIN_SIDE_PX = 16
JPEG_QUALITY = 75
CLIP_S = 6.0
CLIP_RATE_HZ = 24_000
CLIP_BITS_PER_S = 40_000
"""30 KB for 6 s; MP3, since every browser plays it."""

MEDIA_BYTES = 6 * 2**20
"""Of all data URIs of a page, so that the page stays under 10 MB."""


class MediaShelf:
    """Data URIs for a page, as long as there is room."""

    def __init__(self, room_bytes: int = MEDIA_BYTES) -> None:
        self._room_bytes = room_bytes
        self._made: dict[tuple[str, Modality], str | None] = {}
        self.left_out = 0
        """Media for which no room was left."""

    def picture(self, example: Example) -> str | None:
        """A JPEG of at most 200 x 200 pixels; None when it cannot be read or there is no room."""
        return self._shown(example, Modality.IMAGE)

    def clip(self, example: Example) -> str | None:
        """An MP3 of six seconds from the middle; None when it cannot be read or there is no room."""
        return self._shown(example, Modality.AUDIO)

    def _shown(self, example: Example, modality: Modality) -> str | None:
        place = example.key, modality
        if place not in self._made:
            self._made[place] = _data_uri(example, modality)
        uri = self._made[place]
        # Counted each time: an item in two lists stands on the page twice.
        if uri is not None and len(uri) > self._room_bytes:
            self.left_out += 1
            return None
        self._room_bytes -= len(uri or "")
        return uri


def _data_uri(example: Example, modality: Modality) -> str | None:
    content = read_content(example, frozenset({modality}))
    try:
        if modality is Modality.IMAGE:
            return None if content.image is None else _uri("image/jpeg", thumbnail(content.image))
        return None if content.audio is None else _uri("audio/mpeg", short_clip(content.audio))
    except MediaError:
        return None  # The page says that it could not be read.


def _uri(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def thumbnail(data: bytes) -> bytes:
    """The picture as a JPEG of at most 200 x 200 pixels. Raises UnreadableMedia or MediaTooLarge."""
    sides = upright_size_px(data, DEFAULT_LIMITS)
    scale = min(1.0, PICTURE_SIDE_PX / max(sides))
    width_px, height_px = (max(MIN_SIDE_PX, round(side * scale)) for side in sides)
    pixels = image_tensor(data, ImageFeatures(height_px=height_px, width_px=width_px), DEFAULT_LIMITS)
    jpeg: bytes = simplejpeg.encode_jpeg(pixels, quality=JPEG_QUALITY, colorsubsampling="420")
    return jpeg


def short_clip(data: bytes) -> bytes:
    """Six seconds of the recording's middle as MP3. Raises UnreadableMedia or MediaTooLarge."""
    with Recording(data, CLIP_RATE_HZ, DEFAULT_LIMITS) as recording:
        length = min(recording.samples, round(CLIP_S * CLIP_RATE_HZ))
        begin = (recording.samples - length) // 2
        return _mp3(recording.read(begin, begin + length))


def _mp3(samples: NDArray[np.float32]) -> bytes:
    target = BytesIO()
    with av.open(target, "w", format="mp3") as container:
        stream: AudioStream = container.add_stream("libmp3lame", rate=CLIP_RATE_HZ, layout="mono")
        stream.bit_rate = CLIP_BITS_PER_S
        loud = np.clip(np.nan_to_num(samples), -1.0, 1.0).astype(np.float32)
        frame = AudioFrame.from_ndarray(loud[None, :], format="fltp", layout="mono")
        frame.sample_rate = CLIP_RATE_HZ
        for part in (frame, None):
            container.mux(stream.encode(part))
    return target.getvalue()
