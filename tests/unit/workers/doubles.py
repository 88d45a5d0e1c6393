"""Adapters in memory for tests of the pure middle, and a small live kind to run it with."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from genrestream.schemas import (
    DeadLetter,
    EncoderRecord,
    EncoderReference,
    FeatureSpec,
    HashedTextFeatures,
    ImageFeatures,
    InlineMedia,
    Kind,
    LabelRecord,
    MediaReference,
    MissingReason,
    Modality,
    Release,
    Revision,
)
from genrestream.workers.errors import MediaUnavailable, Rejected
from genrestream.workers.features.content import Content, Extraction, FeaturePlan
from genrestream.workers.features.extract import extract
from genrestream.workers.live import LiveKind, LiveRelease, build_live
from genrestream.workers.protocols import Array, EmbeddingName

HASHED = HashedTextFeatures(word_buckets=64, char_buckets=64, bucket_terms=16)
IMAGE = ImageFeatures(height_px=16, width_px=16)
THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def release(kind: Kind = Kind.EVENT, task: str = "genres", modalities: Sequence[Modality] = ()) -> Release:
    """A head over hashed text and, where asked for, a picture; labels a, b, c with thresholds of a half."""
    listens = tuple(modalities) or (Modality.TEXT, Modality.IMAGE)
    features = FeatureSpec(
        hashed_text=HASHED if Modality.TEXT in listens else None,
        image=IMAGE if Modality.IMAGE in listens else None,
    )
    encoders = {}
    if Modality.IMAGE in listens:
        encoders[Modality.IMAGE] = EncoderReference(model="image-small", version=1, embedding_dim=4)
    return Release(
        kind=kind,
        task=task,
        model=f"{kind}-{task}",
        version=1,
        labels=("a", "b", "c"),
        thresholds=(0.5, 0.5, 0.5),
        taxonomy="as-given",
        taxonomy_version=1,
        features=features,
        feature_hash=features.spec_hash,
        encoders=encoders,
        modalities=listens,
        checksums={},
        created_at=THEN,
    )


class Encoders:
    """The one encoder of `release`."""

    def encoder(self, model: str, version: int) -> EncoderRecord:
        """Its record."""
        return EncoderRecord(
            model=model,
            version=version,
            modality=Modality.IMAGE,
            features=IMAGE,
            embedding_dim=4,
            source="a test",
            licence="none",
            checksums={},
            created_at=THEN,
        )

    def version_dir(self, model: str, version: int) -> Path:
        """No tokenizer lies there."""
        return Path("nowhere") / model / str(version)


def live_kind(*releases: Release, sequence: int = 7) -> LiveKind:
    """The snapshot of these releases."""
    running = releases or (release(),)
    return build_live(running[0].kind, (LiveRelease(one, sequence) for one in running), Encoders())


class Features:
    """The real extraction, on the event loop."""

    async def extract(self, contents: Sequence[Content], plan: FeaturePlan) -> list[Extraction]:
        """One extraction a content."""
        return [extract(content, plan) for content in contents]


class Media:
    """Inline bytes as they are; URLs from a table, everything else is not found."""

    def __init__(self, **pages: bytes) -> None:
        self._pages = pages

    async def fetch(self, media: MediaReference | InlineMedia) -> bytes:
        """The bytes."""
        if isinstance(media, InlineMedia):
            return media.data
        if media.url not in self._pages:
            raise MediaUnavailable(MissingReason.NOT_FOUND, "HTTP 404")
        return self._pages[media.url]


class Inference:
    """Says what a function says; by default label b with 0.9."""

    def __init__(self, heads: Callable[[Mapping[str, Array]], Array] | None = None) -> None:
        self._heads = heads or (lambda inputs: np.tile(np.float32([0.1, 0.9, 0.2]), (_size(inputs), 1)))
        self.batch_sizes: list[int] = []

    async def infer(self, model: str, version: int, inputs: Mapping[str, Array], output: str) -> Array:
        """Embeddings of ones, or what the head says."""
        if output == "embedding":
            return np.ones((_size(inputs), 4), np.float32)
        self.batch_sizes.append(_size(inputs))
        return self._heads(inputs)


class Published:
    """The label topic and the dead-letter topic in one, in the order of writing."""

    def __init__(self) -> None:
        self.records: list[LabelRecord] = []
        self.removed: list[tuple[Kind, str, tuple[str, ...], Revision]] = []
        self.letters: list[DeadLetter] = []

    async def publish(self, written: LabelRecord | DeadLetter) -> None:
        """Keep a record or a dead letter."""
        if isinstance(written, DeadLetter):
            self.letters.append(written)
        else:
            self.records.append(written)

    async def remove(self, kind: Kind, item_id: str, tasks: Iterable[str], revision: Revision) -> None:
        """Keep what was removed."""
        self.removed.append((kind, item_id, tuple(tasks), revision))


class Versions:
    """Says of every replay that this is its newer version, or that none can be told; notes what was asked."""

    def __init__(self, newer: int | Rejected | None = None) -> None:
        self._newer = newer
        self.asked: list[tuple[str, int, bytes, range, int]] = []

    async def newer(self, topic: str, partition: int, key: bytes, offsets: range, than: int) -> int | None:
        """The answer."""
        self.asked.append((topic, partition, key, offsets, than))
        if isinstance(self._newer, Rejected):
            raise self._newer
        return self._newer


class Known:
    """Label records that are known from before."""

    def __init__(self, records: Iterable[LabelRecord] = ()) -> None:
        self._records = list(records)

    async def records(self, kind: Kind, item_id: str, tasks: Sequence[str]) -> list[LabelRecord]:
        """All of them: who asks has to look whether they fit."""
        return self._records


class EmbeddingsInMemory:
    """A store without bounds."""

    def __init__(self) -> None:
        self.kept: dict[EmbeddingName, Array] = {}

    async def find(self, wanted: Mapping[EmbeddingName, int]) -> dict[EmbeddingName, Array]:
        """Those that were kept."""
        return {name: self.kept[name] for name in wanted if name in self.kept}

    def keep(self, embeddings: Mapping[EmbeddingName, Array]) -> None:
        """Keep all."""
        self.kept |= embeddings


class Releases:
    """What is live, changed by the test."""

    def __init__(self, *kinds: LiveKind, retired: Sequence[str] = ()) -> None:
        self.kinds = {live.kind: live for live in kinds}
        self._retired = retired

    def live(self, kind: Kind) -> LiveKind | None:
        """The kind's snapshot."""
        return self.kinds.get(kind)

    def tasks(self, kind: Kind) -> list[str]:
        """Those of the snapshot and the retired ones."""
        return sorted({live.release.task for live in self.kinds[kind].releases} | set(self._retired))


def _size(inputs: Mapping[str, Array]) -> int:
    return len(next(iter(inputs.values())))
