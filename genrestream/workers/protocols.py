"""What the pipeline asks of its adapters; Kafka, Redis, Triton and HTTP each stand behind one of these."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas import (
    DeadLetter,
    InlineMedia,
    Kind,
    LabelRecord,
    MediaReference,
    Revision,
)
from genrestream.schemas.features import PictureTextFeatures
from genrestream.workers.features.content import Content, Extraction, FeaturePlan

if TYPE_CHECKING:
    from genrestream.workers.live import LiveKind

Array = NDArray[Any]

EmbeddingName = tuple[str, int, str]
"""An encoder's model and version, and the SHA-256 of a medium's bytes."""


class CacheOutcome(StrEnum):
    """What became of a write to the cache; a closed list, also a metric's label."""

    WRITTEN = "written"
    STALE = "stale"
    """A newer revision is there already, or the item was removed later."""
    UNCHANGED = "unchanged"
    """The same revision is there already: a duplicate after a crash."""
    FAILED = "failed"
    """Redis could not be reached; the write is made again."""
    REFUSED = "refused"
    """A key holds what none of ours holds, so that Redis refuses the write for good."""
    UNREADABLE = "unreadable"
    """A message of the label topic that is no label record."""


class Reading(StrEnum):
    """What came of reading a picture; a metric's label."""

    READ = "read"
    NOTHING = "nothing"
    """No line that the reader is sure of."""
    UNREADABLE = "unreadable"
    """The picture cannot be decoded, or is too large."""
    TIMEOUT = "timeout"
    CRASHED = "crashed"
    """Its process died, of memory as a rule."""
    REFUSED = "refused"
    """Too many pictures wait already."""
    OFF = "off"
    """This worker reads no pictures."""


class Media(Protocol):
    """Reads a picture or a recording."""

    async def fetch(self, media: MediaReference | InlineMedia) -> bytes:
        """The bytes.

        Raises:
            MediaUnavailable: with the reason that the label record will carry.
        """
        ...


class Features(Protocol):
    """Turns contents into tensors, away from the event loop."""

    async def extract(self, contents: Sequence[Content], plan: FeaturePlan) -> list[Extraction]:
        """One extraction a content, in order; never raises for what a content holds.

        Raises:
            FeaturesImpossibleError: no item can be given features; stop the worker.
        """
        ...


class PictureTexts(Protocol):
    """Reads the text in a picture, away from the event loop."""

    async def read(self, picture: bytes, spec: PictureTextFeatures) -> tuple[str, ...]:
        """The text's fields; none when nothing could be read, whatever the reason.

        Raises:
            FeaturesImpossibleError: no picture can be read; stop the worker.
        """
        ...


class Inference(Protocol):
    """Runs a model's pinned version on one batch."""

    async def infer(self, model: str, version: int, inputs: Mapping[str, Array], output: str) -> Array:
        """The output [b, ...] for inputs [b, ...].

        Raises:
            InferenceUnavailable: it may pass; try again.
            InferenceRejected: the server refuses these tensors for good.
        """
        ...


class Labels(Protocol):
    """The label topic."""

    async def publish(self, record: LabelRecord) -> None:
        """Return once all in-sync replicas have the record."""
        ...

    async def remove(self, kind: Kind, item_id: str, tasks: Iterable[str], revision: Revision) -> None:
        """Write a tombstone a task; return once all in-sync replicas have them."""
        ...


class DeadLetters(Protocol):
    """The dead-letter topic."""

    async def publish(self, letter: DeadLetter) -> None:
        """Return once all in-sync replicas have it."""
        ...


class Versions(Protocol):
    """The input topics, read back for what came under a key."""

    async def newer(self, topic: str, partition: int, key: bytes, offsets: range, than: int) -> int | None:
        """Of the messages at `offsets` under the key, one that is a newer version than `than`, or None.

        Waits for as long as Kafka is away.

        Raises:
            Rejected: Kafka does not have all of these messages any more; dead-letter the item.
        """
        ...


class Earlier(Protocol):
    """What items were labelled with before."""

    async def records(self, kind: Kind, item_id: str, tasks: Sequence[str]) -> Sequence[LabelRecord]:
        """The item's latest label records of these tasks that are known; never raises, waits briefly."""
        ...


class EmbeddingStore(Protocol):
    """Embeddings of media, shared by items and workers."""

    async def find(self, wanted: Mapping[EmbeddingName, int]) -> Mapping[EmbeddingName, NDArray[np.float32]]:
        """Those that are known, float32 [d] of the size d that is asked for; never raises, waits briefly."""
        ...

    def keep(self, embeddings: Mapping[EmbeddingName, NDArray[np.float32]]) -> None:
        """Have them kept, as far as there is room; returns at once, never raises."""
        ...


class NothingRead:
    """The `PictureTexts` of a worker that reads no pictures."""

    def __init__(self, on_reading: Callable[[Reading], None] = lambda reading: None) -> None:
        self._on_reading = on_reading

    async def read(self, picture: bytes, spec: PictureTextFeatures) -> tuple[str, ...]:
        """None."""
        self._on_reading(Reading.OFF)
        return ()


class NothingEarlier:
    """The `Earlier` of a worker that labels every message anew."""

    async def records(self, kind: Kind, item_id: str, tasks: Sequence[str]) -> Sequence[LabelRecord]:
        """None."""
        return ()


class NothingKept:
    """The `EmbeddingStore` of a worker that shares embeddings within a micro-batch only."""

    async def find(self, wanted: Mapping[EmbeddingName, int]) -> Mapping[EmbeddingName, NDArray[np.float32]]:
        """None."""
        return {}

    def keep(self, embeddings: Mapping[EmbeddingName, NDArray[np.float32]]) -> None:
        """Forget them."""


class Releases(Protocol):
    """What is live."""

    def live(self, kind: Kind) -> "LiveKind | None":
        """The kind's live releases, or None while none is known."""
        ...

    def tasks(self, kind: Kind) -> Sequence[str]:
        """The kind's tasks by name, also the retired ones, as far as Kafka still tells of them."""
        ...
