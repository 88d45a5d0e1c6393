"""Equal media of a micro-batch, and what is known of them: each picture and recording is encoded once.

Texts are not looked up: items with the same text and another medium are rare, and an item that comes again
unchanged has its labels already (see earlier.py).
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas import Modality
from genrestream.workers.features.content import Content, Embedded, Extraction, FeatureTensor, modality_of
from genrestream.workers.live import EncoderKey, LiveKind
from genrestream.workers.protocols import EmbeddingName, EmbeddingStore
from genrestream.workers.score import Scored

MEDIA = (Modality.IMAGE, Modality.AUDIO)

Medium = tuple[Modality, str]
"""What it is heard as, and the SHA-256 of its bytes."""


@dataclass(frozen=True, slots=True)
class SharedMedia:
    """The media of a micro-batch."""

    live: LiveKind
    contents: Sequence[Content]
    media: Sequence[tuple[Medium, ...]]
    """Of each content, those that an encoder listens to."""
    known: Mapping[Medium, Embedded]
    first: Mapping[Medium, int]
    """Where an unknown medium comes first: the row in which it is encoded."""

    @classmethod
    async def look_up(cls, contents: Sequence[Content], live: LiveKind, store: EmbeddingStore) -> Self:
        """Ask the store for all media of the batch at once."""
        media = await _media(contents, live)
        distinct = {medium for several in media for medium in several}
        wanted = {
            name: live.encoders[key].embedding_dim
            for medium in distinct
            for key, name in _names(medium, live).items()
        }
        found = await store.find(wanted) if wanted else {}
        known: dict[Medium, Embedded] = {}
        for medium in distinct:
            names = _names(medium, live)
            # One encoder that does not know it is enough to need the medium's features.
            if all(name in found for name in names.values()):
                known[medium] = Embedded({key: found[name] for key, name in names.items()})
        first: dict[Medium, int] = {}
        for row, several in enumerate(media):
            for medium in several:
                if medium not in known:
                    first.setdefault(medium, row)
        return cls(live, contents, media, known, first)

    def to_extract(self) -> list[Content]:
        """The contents without the media whose features are not needed."""
        return [
            _without(content, {medium[0] for medium in several if self.first.get(medium) != row})
            for row, (content, several) in enumerate(zip(self.contents, self.media, strict=True))
        ]

    def complete(self, extractions: Sequence[Extraction]) -> list[Extraction]:
        """The extractions of `to_extract`, with what is known, or was extracted elsewhere in the batch."""
        return [
            self._completed(row, extraction, extractions) if self.media[row] else extraction
            for row, extraction in enumerate(extractions)
        ]

    def fresh(self, scored: Sequence[Scored]) -> dict[EmbeddingName, NDArray[np.float32]]:
        """The embeddings that were made for this batch, to be kept."""
        made: dict[EmbeddingName, NDArray[np.float32]] = {}
        for medium, row in self.first.items():
            one = scored[row]
            if medium[0] not in one.extraction.missing:
                made |= {name: one.embeddings[key] for key, name in _names(medium, self.live).items()}
        return made

    def counts(self) -> dict[Modality, tuple[int, int]]:
        """Of each modality: the media that need no encoding, and those that do."""
        counts = {}
        for modality in MEDIA:
            total = sum(medium[0] is modality for several in self.media for medium in several)
            misses = sum(medium[0] is modality for medium in self.first)
            counts[modality] = (total - misses, misses)
        return counts

    def _completed(self, row: int, extraction: Extraction, extractions: Sequence[Extraction]) -> Extraction:
        tensors: list[FeatureTensor | None] = list(extraction.tensors)
        missing = dict(extraction.missing)
        for medium in self.media[row]:
            modality = medium[0]
            if self.first.get(medium) == row:
                continue
            missing.pop(modality, None)
            source = None if medium in self.known else extractions[self.first[medium]]
            if source is not None and modality in source.missing:
                missing[modality] = source.missing[modality]
            for slot, spec in enumerate(self.live.plan.specs):
                if modality_of(spec) is modality:
                    tensors[slot] = self.known[medium] if source is None else source.tensors[slot]
        return replace(extraction, tensors=tuple(tensors), missing=missing)


async def _media(contents: Sequence[Content], live: LiveKind) -> list[tuple[Medium, ...]]:
    heard = [modality for modality in MEDIA if _encoders(modality, live)]
    if not any(getattr(content, modality) is not None for content in contents for modality in heard):
        return [()] * len(contents)
    # 32 MiB take 20 ms and more; hashing lets go of the interpreter's lock.
    return await asyncio.to_thread(_hash, contents, heard)


def _hash(contents: Sequence[Content], heard: Sequence[Modality]) -> list[tuple[Medium, ...]]:
    return [
        tuple(
            (modality, hashlib.sha256(data).hexdigest())
            for modality in heard
            if (data := getattr(content, modality)) is not None
        )
        for content in contents
    ]


def _without(content: Content, modalities: set[Modality]) -> Content:
    return replace(
        content,
        image=None if Modality.IMAGE in modalities else content.image,
        audio=None if Modality.AUDIO in modalities else content.audio,
    )


def _names(medium: Medium, live: LiveKind) -> dict[EncoderKey, EmbeddingName]:
    modality, sha256 = medium
    return {key: (*key, sha256) for key in _encoders(modality, live)}


def _encoders(modality: Modality, live: LiveKind) -> list[EncoderKey]:
    return [key for key, encoder in live.encoders.items() if encoder.modality is modality]
