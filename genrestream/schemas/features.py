"""Feature specifications: everything that decides what tensors an item becomes.

A release carries the specification that it was trained with; serving computes features by it, so that
training and serving cannot drift apart. Legend: b batch, h height, w width, t tokens, p patches, f frames,
m mel bands, n hashed terms.
"""

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageFeatures(_Spec):
    """A picture as `image`, uint8 [b, h, w, 3], RGB; the whole picture, resized to h x w."""

    modality: Literal["image"] = "image"
    height_px: int = Field(ge=16, le=1024)
    width_px: int = Field(ge=16, le=1024)
    resize: Literal["bicubic", "bilinear"] = "bicubic"


class TextFeatures(_Spec):
    """A text as `token_ids`, int64 [b, t], padded with `pad_id` to a multiple of `bucket_tokens`."""

    modality: Literal["text"] = "text"
    tokenizer: str = Field(description="File of Hugging Face's tokenizers, beside the encoder's graph.")
    tokenizer_sha256: str
    max_tokens: int = Field(ge=8, le=4096)
    bucket_tokens: int = Field(default=16, ge=1, description="Lengths are rounded up to a multiple of this.")
    pad_id: int = Field(default=0, ge=0)


class AudioFeatures(_Spec):
    """A recording as `mel_patches`, float32 [b, p, f, m]: log-mel patches spread over its middle.

    log10(10000 x + 1) of the power mel spectrum (Slaney scale and norm), periodic Hann window,
    centred frames: the front end of musicnn (Pons & Serra 2019, arXiv:1909.06654).
    """

    modality: Literal["audio"] = "audio"
    sample_rate_hz: int = Field(default=16_000, ge=4_000, le=48_000)
    window_samples: int = Field(default=512, ge=64)
    hop_samples: int = Field(default=256, ge=32)
    mel_bands: int = Field(default=96, ge=8)
    patch_frames: int = Field(default=187, ge=8)
    patches: int = Field(default=3, ge=1, le=32)
    middle_s: float = Field(default=20.0, gt=0, description="How much of the track's middle is decoded.")


class HashedTextFeatures(_Spec):
    """Hashed terms as `term_ids` int32 [b, n] and `term_weights` float32 [b, n], padded with id 0, weight 0.

    Words are runs of letters and digits, in lower case, without accents. Terms are words 1..`word_ngrams`
    of one field by CRC-32 of their UTF-8, joined by spaces, and characters `char_ngrams_min`..
    `char_ngrams_max` inside word bounds (the spaces around a word belong to it) by a rolling hash of their
    code points. Id 0 is padding; words take 1..`word_buckets`, characters the `char_buckets` after them.
    Weight: 1 + ln(count).
    """

    word_buckets: int = Field(default=1 << 15, ge=16, le=1 << 20)
    word_ngrams: int = Field(default=2, ge=1, le=3)
    char_buckets: int = Field(default=1 << 15, ge=0, le=1 << 20)
    char_ngrams_min: int = Field(default=3, ge=1)
    char_ngrams_max: int = Field(default=5, ge=1)
    max_terms: int = Field(default=4096, ge=16, description="Of a text with more, the first words count.")
    bucket_terms: int = Field(default=256, ge=1, description="Lengths are rounded up to a multiple of this.")

    @property
    def vocabulary_size(self) -> int:
        """Rows of the term table: padding, words, characters."""
        return 1 + self.word_buckets + self.char_buckets


MediaFeatures = ImageFeatures | TextFeatures | AudioFeatures


class PictureTextFeatures(_Spec):
    """What stands in an item's picture, in the place of its text: the lines in the reader's order, which are
    then features as any text is.
    """

    when: Literal["absent", "always"] = Field(
        default="absent",
        description="absent: where the item has no text of its own, and the head is told so; "
        "always: the head knows no other texts.",
    )
    reader: Literal["rapidocr-onnxruntime"] = "rapidocr-onnxruntime"
    longest_side_px: int = Field(default=960, ge=64, le=1024, description="The picture is scaled down to it.")
    shortest_side_px: int = Field(
        default=360, ge=64, le=1024, description="To find its lines, a smaller picture is enlarged to it."
    )
    min_confidence: float = Field(default=0.5, ge=0, le=1, description="Of a line; others are left out.")
    max_chars: int = Field(default=1_000, ge=1, description="Of all lines together.")


class FeatureSpec(_Spec):
    """All features that a head and its encoders ask for; None where a modality is not used."""

    text: TextFeatures | None = None
    hashed_text: HashedTextFeatures | None = None
    image: ImageFeatures | None = None
    audio: AudioFeatures | None = None
    # A record without it is as it was before there was such a thing, and so is its hash.
    picture_text: PictureTextFeatures | None = Field(default=None, exclude_if=lambda value: value is None)
    max_text_chars: int = Field(default=20_000, ge=100, description="A longer text is cut here.")

    @property
    def tells_read_text(self) -> bool:
        """Whether the head is told of each text if it was read from the picture."""
        return self.picture_text is not None and self.picture_text.when == "absent"

    @property
    def spec_hash(self) -> str:
        """SHA-256 of the canonical JSON, hexadecimal: equal for equal features."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
