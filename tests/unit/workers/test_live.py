"""The snapshot of a kind's live releases is consistent, or refused with the reason."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest

from genrestream.schemas import (
    EncoderRecord,
    EncoderReference,
    FeatureSpec,
    HashedTextFeatures,
    ImageFeatures,
    Kind,
    Modality,
    Release,
    TextFeatures,
)
from genrestream.schemas.features import PictureTextFeatures
from genrestream.workers.live import LiveRelease, ReleaseUnusableError, build_live

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXT = TextFeatures(tokenizer="tokenizer.json", tokenizer_sha256="ab", max_tokens=64)
IMAGE = ImageFeatures(height_px=32, width_px=16)
HASHED = HashedTextFeatures()


class Source:
    """Encoders by name; their files lie under /models."""

    def __init__(self, **changes: Any) -> None:
        self._changes = changes

    def encoder(self, model: str, version: int) -> EncoderRecord:
        fields: dict[str, Any] = {
            "model": model,
            "version": version,
            "modality": Modality.TEXT if model.startswith("text") else Modality.IMAGE,
            "features": TEXT if model.startswith("text") else IMAGE,
            "embedding_dim": 8,
            "source": "test",
            "licence": "none",
            "checksums": {},
            "created_at": NOON,
        }
        return EncoderRecord(**(fields | self._changes))

    def version_dir(self, model: str, version: int) -> Path:
        return Path("/models") / model / str(version)


def live(task: str = "genres", sequence: int = 1, kind: Kind = Kind.PODCAST, **changes: Any) -> LiveRelease:
    features = changes.pop("features", FeatureSpec(text=TEXT, image=IMAGE, hashed_text=HASHED))
    fields: dict[str, Any] = {
        "kind": kind,
        "task": task,
        "model": f"{kind}-{task}",
        "version": 2,
        "labels": ("a", "b"),
        "thresholds": (0.5, 0.5),
        "taxonomy": "t",
        "taxonomy_version": 1,
        "features": features,
        "feature_hash": features.spec_hash,
        "encoders": {
            Modality.TEXT: EncoderReference(model="text-x", version=3, embedding_dim=8),
            Modality.IMAGE: EncoderReference(model="image-x", version=1, embedding_dim=8),
        },
        "modalities": (Modality.TEXT, Modality.IMAGE),
        "checksums": {},
        "created_at": NOON,
    }
    return LiveRelease(Release(**(fields | changes)), sequence)


def test_tasks_share_encoders_and_features() -> None:
    """Two heads with the same encoders and hashed words: each is computed once for both."""
    tags, genres = live("tags", 4), live("genres", 9)
    snapshot = build_live(Kind.PODCAST, [tags, genres], Source())
    assert snapshot.releases == (genres, tags)
    assert set(snapshot.encoders) == {("text-x", 3), ("image-x", 1)}
    assert snapshot.plan.specs == (HASHED, TEXT, IMAGE)
    assert snapshot.plan.tokenizers == {"ab": "/models/text-x/3/tokenizer.json"}
    assert snapshot.plan.max_text_chars == 20_000
    assert snapshot.modalities == {Modality.TEXT, Modality.IMAGE}


def test_text_from_hashed_words_alone_needs_no_encoder() -> None:
    """A head that listens to hashed words only asks for these, and for no other medium."""
    features = FeatureSpec(hashed_text=HASHED)
    only = live(features=features, encoders={}, modalities=(Modality.TEXT,))
    snapshot = build_live(Kind.PODCAST, [only], Source())
    assert (snapshot.plan.specs, snapshot.encoders) == ((HASHED,), {})
    assert snapshot.modalities == {Modality.TEXT}


SHORT = FeatureSpec(text=TEXT, image=IMAGE, hashed_text=HASHED, max_text_chars=500)


def reading(when: Literal["absent", "always"]) -> FeatureSpec:
    """The features of a head that knows texts read from pictures."""
    read = PictureTextFeatures(when=when)
    return FeatureSpec(text=TEXT, image=IMAGE, hashed_text=HASHED, picture_text=read)


def test_heads_that_know_read_texts_go_with_others() -> None:
    """Where they are told which texts were read; the others leave such texts out."""
    both = [live("genres"), live("tags", features=reading("absent"))]
    assert build_live(Kind.PODCAST, both, Source()).picture_text == PictureTextFeatures()
    assert build_live(Kind.PODCAST, both[:1], Source()).picture_text is None


@pytest.mark.parametrize(
    ("releases", "source", "reason"),
    [
        ([], Source(), "no release of kind podcast"),
        ([live(kind=Kind.TRACK)], Source(), "not of kind podcast: track-genres"),
        ([live(), live(sequence=2)], Source(), "more than one release of podcast for genres"),
        (
            [live()],
            Source(modality=Modality.AUDIO),
            "podcast-genres version 2 uses text-x version 3 for text, but it encodes audio",
        ),
        (
            [live()],
            Source(embedding_dim=16),
            "podcast-genres version 2 expects embeddings of 8, text-x version 3 gives 16",
        ),
        (
            [live(features=FeatureSpec(text=TEXT, image=ImageFeatures(height_px=64, width_px=64)))],
            Source(),
            "podcast-genres version 2 was trained with other image features than image-x version 1 takes",
        ),
        (
            [live("genres"), live("tags", features=SHORT)],
            Source(),
            "the releases of podcast cut texts at different lengths: [500, 20000]",
        ),
        (
            [live("genres"), live("tags", features=reading("always"))],
            Source(),
            "the releases of podcast read pictures in different ways",
        ),
        (
            [live("genres", features=reading("absent")), live("tags", features=reading("always"))],
            Source(),
            "the releases of podcast read pictures in different ways",
        ),
    ],
)
def test_contradictions_are_refused(releases: list[LiveRelease], source: Source, reason: str) -> None:
    """Serving by features that a head was not trained with gives wrong labels without any error."""
    with pytest.raises(ReleaseUnusableError) as caught:
        build_live(Kind.PODCAST, releases, source)
    assert str(caught.value) == reason
