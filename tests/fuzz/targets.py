"""What must hold for any bytes: one function a door through which strangers' bytes come in.

Each returns what happened, or raises where the claim does not hold. Hypothesis (the tests beside this file)
and atheris (coverage_guided.py) both call them.
"""

import hashlib
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel

from genrestream.schemas.features import AudioFeatures, HashedTextFeatures, ImageFeatures, TextFeatures
from genrestream.schemas.items import Modality
from genrestream.workers.errors import Rejected
from genrestream.workers.features.audio import audio_tensor
from genrestream.workers.features.content import Content, FeatureLimits, FeaturePlan, HashedTerms
from genrestream.workers.features.errors import MediaError
from genrestream.workers.features.extract import extract
from genrestream.workers.features.image import image_tensor
from genrestream.workers.intake import Arrived, Incoming, Removal, take_in

IMAGE = ImageFeatures(height_px=24, width_px=32)
AUDIO = AudioFeatures(sample_rate_hz=8_000, mel_bands=16, patch_frames=32, patches=2)
TERMS = HashedTextFeatures(max_terms=64)
MAX_TEXT_CHARS = 2_000
LIMITS = FeatureLimits(max_pixels=1_000_000, max_audio_s=600.0, max_decoded_s=60.0)
"""As in a worker, but for sizes at which one example would take seconds."""

MAX_MESSAGE_CHARS = 500


def check_message(value: bytes | None, **changes: Any) -> str:
    """An item, a removal, or a rejection with a short line; nothing else ever leaves `take_in`."""
    fields = {"topic": "catalog.tracks", "partition": 0, "offset": 42, "key": b"t1"}
    try:
        taken = take_in(Incoming(value=value, **(fields | changes)))
    except Rejected as rejected:
        return _code(rejected)
    assert isinstance(taken, Arrived if value is not None else Removal)
    return "arrived" if value is not None else "removal"


def check_picture(data: bytes) -> str:
    """A tensor of the specified shape, or a MediaError of one line for people."""
    try:
        tensor = image_tensor(data, IMAGE, LIMITS)
    except MediaError as error:
        return _reason(error)
    assert (tensor.shape, tensor.dtype) == ((24, 32, 3), np.uint8)
    return "picture"


def check_recording(data: bytes) -> str:
    """Finite patches of the specified shape, or a MediaError of one line for people."""
    try:
        patches = audio_tensor(data, AUDIO, LIMITS)
    except MediaError as error:
        return _reason(error)
    assert (patches.shape, patches.dtype) == ((2, 32, 16), np.float32)
    assert np.isfinite(patches).all()
    assert patches.min() >= 0
    return "patches"


def check_texts(texts: tuple[str, ...]) -> str:
    """Token ids and hashed terms within their bounds, or the reason that there is no text."""
    extraction = extract(Content(texts), text_plan())
    tokens, terms = extraction.tensors
    if extraction.missing:
        assert tokens is terms is None
        return str(extraction.missing[Modality.TEXT].reason)
    assert isinstance(tokens, np.ndarray)
    assert tokens.dtype == np.int64
    assert 0 < len(tokens) <= 16
    assert isinstance(terms, HashedTerms)
    assert (terms.ids.dtype, terms.weights.dtype) == (np.int32, np.float32)
    assert len(terms.ids) == len(terms.weights) <= TERMS.max_terms
    assert np.isfinite(terms.weights).all()
    assert ((terms.ids > 0) & (terms.ids < TERMS.vocabulary_size)).all()
    assert (terms.weights >= 1).all()
    return "text"


def check_content(image: bytes, audio: bytes) -> None:
    """A tensor or a reason for each medium, never both, never neither."""
    plan = FeaturePlan((IMAGE, AUDIO), {})
    extraction = extract(Content((), image, audio), plan, LIMITS)
    for modality, tensor in zip((Modality.IMAGE, Modality.AUDIO), extraction.tensors, strict=True):
        assert (tensor is None) == (modality in extraction.missing)
    assert all(0 < len(missing.detail) <= 300 for missing in extraction.missing.values())


@lru_cache(maxsize=1)
def text_plan() -> FeaturePlan:
    """Hashed terms, and a tokenizer that knows every byte, so that any text has tokens."""
    alphabet = sorted(ByteLevel.alphabet())
    tokenizer = Tokenizer(BPE({character: index for index, character in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    content = tokenizer.to_str().encode()
    sha256 = hashlib.sha256(content).hexdigest()
    spec = TextFeatures(tokenizer="tokenizer.json", tokenizer_sha256=sha256, max_tokens=16)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        path.write_bytes(content)
        plan = FeaturePlan((spec, TERMS), {sha256: str(path)}, MAX_TEXT_CHARS)
        extract(Content(("loaded while the file is there",)), plan)
    return plan


def _code(rejected: Rejected) -> str:
    assert 0 < len(rejected.message) <= MAX_MESSAGE_CHARS
    assert "\n" not in rejected.message
    return str(rejected.code)


def _reason(error: MediaError) -> str:
    assert str(error)
    assert str(error).isprintable(), str(error)
    return str(error.reason)
