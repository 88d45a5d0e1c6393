"""An item's content to the tensors of a plan."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from genrestream.schemas.features import AudioFeatures, HashedTextFeatures, ImageFeatures, TextFeatures
from genrestream.schemas.items import Modality
from genrestream.schemas.labels import MissingReason
from genrestream.workers.features.content import (
    Content,
    FeatureLimits,
    FeaturePlan,
    HashedTerms,
    Missing,
)
from genrestream.workers.features.errors import FeatureSetupError
from genrestream.workers.features.extract import extract

IMAGE = ImageFeatures(height_px=48, width_px=32)
AUDIO = AudioFeatures(patches=2, patch_frames=16, mel_bands=8)
TERMS = HashedTextFeatures()
MEDIA_PLAN = FeaturePlan((IMAGE, TERMS, AUDIO), {})
Encode = Callable[..., bytes]


@pytest.fixture
def picture(save_image: Encode) -> bytes:
    return save_image(Image.new("RGB", (60, 90), "red"), "PNG")


@pytest.fixture
def recording(save_wave: Encode) -> bytes:
    return save_wave(np.full(16_000, 0.1, np.float32), 16_000)


def test_tensors_are_aligned_with_the_plan(
    picture: bytes, recording: bytes, text_spec: TextFeatures, tokenizer_file: tuple[Path, str]
) -> None:
    """Each specification has its tensor at its own place, two of one modality included."""
    wide = ImageFeatures(height_px=32, width_px=64)
    specs = (AUDIO, text_spec, IMAGE, TERMS, wide)
    plan = FeaturePlan(specs, {tokenizer_file[1]: str(tokenizer_file[0])})
    extraction = extract(Content(("Jazz",), picture, recording), plan)
    audio, tokens, image, terms, wide_image = extraction.tensors
    assert extraction.missing == {}
    assert isinstance(terms, HashedTerms)
    for tensor, shape, dtype in (
        (audio, (2, 16, 8), "float32"),
        (tokens, (4,), "int64"),
        (image, (48, 32, 3), "uint8"),
        (wide_image, (32, 64, 3), "uint8"),
    ):
        assert isinstance(tensor, np.ndarray)
        assert (tensor.shape, tensor.dtype) == (shape, dtype)


def test_absent_modalities_are_missing() -> None:
    """What the plan asks for and the item lacks is named; text of nothing but markup is no text."""
    extraction = extract(Content(("<br>", "\u200b")), MEDIA_PLAN)
    assert extraction.tensors == (None, None, None)
    assert extraction.missing == {
        Modality.IMAGE: Missing(MissingReason.ABSENT, "the item has no image"),
        Modality.TEXT: Missing(MissingReason.ABSENT, "the item has no text"),
        Modality.AUDIO: Missing(MissingReason.ABSENT, "the item has no audio"),
    }


def test_what_the_plan_does_not_ask_for_is_not_missing(picture: bytes) -> None:
    """A plan without audio says nothing of audio, and rubbish there does no harm."""
    extraction = extract(Content((), picture, b"rubbish"), FeaturePlan((IMAGE,), {}))
    assert extraction.missing == {}


def test_one_broken_medium_leaves_the_others(recording: bytes) -> None:
    """The picture is a web page: text and audio give their tensors all the same."""
    extraction = extract(Content(("Jazz",), b"<html>404</html>", recording), MEDIA_PLAN)
    assert [tensor is None for tensor in extraction.tensors] == [True, False, False]
    assert extraction.missing == {
        Modality.IMAGE: Missing(MissingReason.UNREADABLE, "not a picture of a known format")
    }


def test_mislabelled_media_are_unreadable(picture: bytes, recording: bytes) -> None:
    """A recording sent as the picture and a picture sent as the recording."""
    missing = extract(Content((), recording, picture), MEDIA_PLAN).missing
    assert missing[Modality.IMAGE].reason is MissingReason.UNREADABLE
    assert missing[Modality.AUDIO].reason is MissingReason.UNREADABLE


def test_empty_and_oversized_media(picture: bytes) -> None:
    """No bytes are unreadable, one byte too many is too large; the limit itself is allowed."""
    limits = FeatureLimits(max_media_bytes=len(picture))
    missing = extract(Content((), picture + b"\x00", b""), MEDIA_PLAN, limits).missing
    assert missing[Modality.AUDIO] == Missing(MissingReason.UNREADABLE, "the audio is empty")
    assert missing[Modality.IMAGE] == Missing(
        MissingReason.TOO_LARGE,
        f"the image has {len(picture) + 1:,} bytes, allowed are {len(picture):,}",
    )
    assert Modality.IMAGE not in extract(Content((), picture), MEDIA_PLAN, limits).missing


def test_text_is_cut_at_the_plans_limit() -> None:
    """What lies behind the limit changes nothing."""
    plan = FeaturePlan((TERMS,), {}, max_text_chars=100)
    cut, long = (extract(Content((text,)), plan).tensors[0] for text in ("jazz " * 20, "jazz " * 20 + "funk"))
    assert isinstance(cut, HashedTerms)
    assert isinstance(long, HashedTerms)
    np.testing.assert_array_equal(cut.ids, long.ids)


def test_a_tokenizer_that_the_plan_lacks_stops(text_spec: TextFeatures) -> None:
    """A wrong set-up is no property of an item: it is raised, not recorded as missing text."""
    with pytest.raises(FeatureSetupError, match="the plan has no path for the tokenizer"):
        extract(Content(("Jazz",)), FeaturePlan((text_spec,), {}))


def test_what_no_broken_medium_should_raise_costs_one_modality(
    picture: bytes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A hole in a decoder's checks: the picture is unreadable, the text is there, and the log tells where."""

    def hole(data: bytes, spec: ImageFeatures, limits: FeatureLimits) -> None:
        raise ZeroDivisionError(data)

    monkeypatch.setattr("genrestream.workers.features.extract.image_tensor", hole)
    extraction = extract(Content(("Jazz",), picture), FeaturePlan((IMAGE, TERMS), {}))
    assert [tensor is None for tensor in extraction.tensors] == [True, False]
    assert extraction.missing == {
        Modality.IMAGE: Missing(MissingReason.UNREADABLE, "cannot be read: ZeroDivisionError")
    }
    assert "in hole" in caplog.text


def test_memory_that_runs_out_is_the_callers(picture: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says nothing of the picture: a fresh process is to try."""

    def too_much(data: bytes, spec: ImageFeatures, limits: FeatureLimits) -> None:
        raise MemoryError

    monkeypatch.setattr("genrestream.workers.features.extract.image_tensor", too_much)
    with pytest.raises(MemoryError):
        extract(Content((), picture), MEDIA_PLAN)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.text(st.characters(), max_size=50), max_size=3),
    st.none() | st.binary(max_size=300),
    st.none() | st.binary(max_size=300),
)
def test_no_content_raises(texts: list[str], image: bytes | None, audio: bytes | None) -> None:
    """Any texts and any bytes: a tensor or a reason for each modality, never both, never neither."""
    extraction = extract(Content(tuple(texts), image, audio), MEDIA_PLAN)
    for modality, tensor in zip(
        (Modality.IMAGE, Modality.TEXT, Modality.AUDIO), extraction.tensors, strict=True
    ):
        assert (tensor is None) == (modality in extraction.missing)
    assert all(0 < len(missing.detail) <= 300 for missing in extraction.missing.values())
