"""What goes into feature extraction and what comes out: plain data, cheap to send between processes.

Legend: h height, w width, t tokens, p patches, f frames, m mel bands, n hashed terms.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas.features import AudioFeatures, HashedTextFeatures, ImageFeatures, TextFeatures
from genrestream.schemas.items import Modality
from genrestream.schemas.labels import MissingReason

PICTURE_READER = "rapidocr_onnxruntime"
"""The package that reads the text in pictures; the extra `ocr` brings it."""

Spec = ImageFeatures | TextFeatures | AudioFeatures | HashedTextFeatures


@dataclass(frozen=True, slots=True)
class Content:
    """An item's texts in reading order and its media as bytes; None where there is none."""

    text: tuple[str, ...]
    image: bytes | None = None
    audio: bytes | None = None
    text_is_read: bool = False
    """Whether the text is what was read from the picture."""

    @property
    def read_text(self) -> str | None:
        """What was read from the picture."""
        return " ".join(self.text) if self.text_is_read else None


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """Which tensors to make: what the live releases of a kind ask for."""

    specs: tuple[Spec, ...]
    tokenizers: dict[str, str]
    """SHA-256 of a tokenizer file -> its path."""
    max_text_chars: int = 20_000
    """A longer text is cut here, after cleaning."""


@dataclass(frozen=True, slots=True)
class FeatureLimits:
    """The most that one medium may cost; what goes beyond is missing, `too_large`.

    Texts are bounded by `FeaturePlan.max_text_chars`, memory and time by the process (`PoolLimits`).
    """

    max_media_bytes: int = 64 * 2**20
    """Bytes of one picture or recording."""
    max_pixels: int = 50_000_000
    """Width x height, read from the header before anything is decoded; decoded, 4 bytes a pixel."""
    max_side_px: int = 65_535
    """Width or height: the longest that JPEG can state. PNG's could take a header for 2 billion."""
    max_jpeg_scans: int = 100
    """Passes over a JPEG. Encoders write about 10. One takes 75 bytes and, at 50 megapixels, 0.08 s: with no
    limit a file of 360 KB held a core for a minute."""
    max_audio_s: float = 6 * 3600.0
    """Length of a recording; only its middle is decoded."""
    max_decoded_s: float = 900.0
    """Seconds decoded at most where a recording cannot be sought and has to be read from its start."""
    max_channels: int = 16
    """Channels of a recording: 9.1.6 surround is the most that is published."""
    min_sample_rate_hz: int = 2_000
    """Below telephone and dictation (8 and 6 kHz) nothing is recorded."""
    max_sample_rate_hz: int = 768_000
    """The highest that converters offer."""
    max_streams: int = 32
    """Streams (sound, cover art, subtitles) in one container; FFmpeg keeps buffers and looks into each."""


DEFAULT_LIMITS = FeatureLimits()


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a modality gave no tensor."""

    reason: MissingReason
    detail: str
    """One sentence for people, at most 300 characters."""


@dataclass(frozen=True, slots=True)
class HashedTerms:
    """The distinct hashed terms of one text, without padding."""

    ids: NDArray[np.int32]
    """int32 [n], each 1 or more."""
    weights: NDArray[np.float32]
    """float32 [n], each 1.0 or more."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Stands where a medium's tensor would: its embeddings are known, so that none had to be made."""

    by_encoder: Mapping[tuple[str, int], NDArray[np.float32]]
    """Model and version -> float32 [d]."""


FeatureTensor = NDArray[np.uint8] | NDArray[np.int64] | NDArray[np.float32] | HashedTerms | Embedded


@dataclass(frozen=True, slots=True)
class Extraction:
    """The tensors of one item, without batch dimension or padding."""

    tensors: tuple[FeatureTensor | None, ...]
    """Aligned with the plan's specs; None where the modality is missing. Image uint8 [h, w, 3],
    text int64 [t], hashed text `HashedTerms`, audio float32 [p, f, m]. `extract` gives no
    `Embedded`."""
    missing: dict[Modality, Missing]
    """The modalities that the plan asks for and that gave no tensor."""
    text_is_read: bool = False
    """As in its content."""


def modality_of(spec: Spec) -> Modality:
    """The modality that a specification reads."""
    match spec:
        case ImageFeatures():
            return Modality.IMAGE
        case AudioFeatures():
            return Modality.AUDIO
        case TextFeatures() | HashedTextFeatures():
            return Modality.TEXT
