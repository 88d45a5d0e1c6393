"""One example of each record, made from the models, so that the documents show nothing that is not valid."""

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from genrestream.schemas.features import FeatureSpec, HashedTextFeatures, ImageFeatures
from genrestream.schemas.items import Event, Kind, MediaReference, Modality, Podcast, Track
from genrestream.schemas.labels import (
    Decision,
    LabelConfidence,
    LabelRecord,
    MissingModality,
    MissingReason,
    ReleaseReference,
    SourcePosition,
)
from genrestream.schemas.releases import EncoderReference, Release, ReleaseAction, ReleaseAnnouncement
from genrestream.schemas.replays import DeadLetterReplay
from genrestream.schemas.revision import Revision

_ARRIVED = datetime(2025, 9, 12, 18, 30, 0, 120_000, tzinfo=UTC)
_LABELLED = datetime(2025, 9, 12, 18, 30, 0, 164_000, tzinfo=UTC)
_SHA_256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bb22cd15d6c15b0f00a08"

EVENT = Event(
    schema_version=1,
    id="venue-4711",
    kind=Kind.EVENT,
    title="Warehouse Night",
    description="Four DJs, two floors, techno until the morning.",
    poster=MediaReference(url="https://media.example.org/posters/4711.jpg"),
    source="venue-scraper",
)

PODCAST = Podcast(
    schema_version=1,
    id="pod-314",
    kind=Kind.PODCAST,
    title="Deep Space",
    author="Ada Example",
    description="Rockets, moons and the people who watch them.",
    cover=MediaReference(url="s3://covers/pod-314.jpg"),
)

TRACK = Track(
    schema_version=1,
    id="track-2718",
    kind=Kind.TRACK,
    title="Slow River",
    artist="The Examples",
    audio=MediaReference(url="https://media.example.org/audio/2718.mp3"),
)

LABEL_RECORD = LabelRecord(
    kind=Kind.PODCAST,
    id="pod-314",
    task="genres",
    labels=(
        LabelConfidence(label="Science", confidence=0.93),
        LabelConfidence(label="Technology", confidence=0.41),
    ),
    decision=Decision.LABELLED,
    release=ReleaseReference(
        model="podcast-genres", version=3, taxonomy="podcast-genres", taxonomy_version=1
    ),
    modalities_used=(Modality.TEXT,),
    modalities_missing=(
        MissingModality(modality=Modality.IMAGE, reason=MissingReason.NOT_FOUND, detail="HTTP 404"),
    ),
    content_hash=_SHA_256,
    source=SourcePosition(topic="catalog.podcasts", partition=7, offset=90210),
    revision=Revision(90210, 12),
    arrived_at=_ARRIVED,
    labelled_at=_LABELLED,
)

REPLAY = DeadLetterReplay(
    schema_version=1,
    topic="catalog.podcasts",
    partition=7,
    offset=90211,
    first_offset=90211,
    replayed_to=90514,
    replayed_at=_LABELLED,
)

_FEATURES = FeatureSpec(hashed_text=HashedTextFeatures(), image=ImageFeatures(height_px=336, width_px=224))

RELEASE = Release(
    kind=Kind.PODCAST,
    task="genres",
    model="podcast-genres",
    version=3,
    labels=("Science", "Technology"),
    thresholds=(0.35, 0.4),
    taxonomy="podcast-genres",
    taxonomy_version=1,
    features=_FEATURES,
    feature_hash=_FEATURES.spec_hash,
    encoders={Modality.IMAGE: EncoderReference(model="image-starter", version=1, embedding_dim=128)},
    modalities=(Modality.TEXT, Modality.IMAGE),
    metrics={"top1": 0.66},
    trained_on={"podcasts": 4503},
    checksums={"model.onnx": _SHA_256},
    created_at=_ARRIVED,
)

ANNOUNCEMENT = ReleaseAnnouncement(action=ReleaseAction.RELEASE, release=RELEASE, announced_at=_LABELLED)


def as_json(record: BaseModel) -> Any:
    """The record as it travels, without the fields that were not set."""
    return record.model_dump(mode="json", exclude_unset=True)
