"""What heads are trained on: an embedding a modality, hashed terms and the presence mask, item by item.

Legend: n items, d embedding size, m modalities (text, image, audio), v rows of the term table, t terms.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas.items import Modality
from genrestream.schemas.releases import EmbeddingView

MODALITIES = tuple(Modality)

READ = "read text"
"""Marks a subset of modalities whose text was read from the picture: the presence mask's fourth column."""

ROWS_AT_ONCE = 4_096
"""Rows that are brought into memory together, where all have to be looked at."""


class EmbeddingRows(Protocol):
    """One modality's embeddings: an array [n, d], or rows that are read from the disk as they are used."""

    @property
    def shape(self) -> tuple[int, ...]:
        """[n, d]"""
        ...

    def __getitem__(self, which: NDArray[np.int64], /) -> Any:
        """Some rows float32 [b, d]; zeros where the item lacks the modality."""
        ...


def mean_and_deviation(
    rows: EmbeddingRows, which: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each dimension float64 [d] over some rows, of which only a part is ever in memory; of none zeros."""
    if not len(which):
        return np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    parts = [which[start : start + ROWS_AT_ONCE] for start in range(0, len(which), ROWS_AT_ONCE)]
    mean = np.sum([np.sum(rows[part], axis=0, dtype=np.float64) for part in parts], axis=0) / len(which)
    squares = [np.sum(np.square(rows[part] - mean), axis=0) for part in parts]
    deviation: NDArray[np.float64] = np.sqrt(np.sum(squares, axis=0) / len(which))
    return mean, deviation


@dataclass(frozen=True, slots=True)
class TermRows:
    """The hashed terms of all items, one after the other."""

    starts: NDArray[np.int64]
    """[n + 1]: the terms of item i are starts[i] to starts[i + 1]."""
    ids: NDArray[np.int32]
    weights: NDArray[np.float32]
    vocabulary_size: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    def flat(
        self, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int64]]:
        """Ids and weights of the rows, one after the other without padding, and where each row starts."""
        lengths = self.starts[rows + 1] - self.starts[rows]
        starts = np.cumsum(lengths) - lengths
        places = np.arange(lengths.sum()) + np.repeat(self.starts[rows] - starts, lengths)
        return self.ids[places], self.weights[places], starts

    def padded(
        self, rows: NDArray[np.int64], multiple: int = 1
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Ids int32 and weights float32 [len(rows), t], padded with id 0 and weight 0.

        t is the longest row's length, rounded up to a multiple of `multiple`, and at least that.
        """
        lengths = self.starts[rows + 1] - self.starts[rows]
        width = max(1, -(-int(lengths.max(initial=0)) // multiple)) * multiple
        inside = np.arange(width)[None, :] < lengths[:, None]
        ids = np.zeros(inside.shape, np.int32)
        weights = np.zeros(inside.shape, np.float32)
        places = (self.starts[rows][:, None] + np.arange(width)[None, :])[inside]
        ids[inside] = self.ids[places]
        weights[inside] = self.weights[places]
        return ids, weights

    def document_frequency(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """In how many of the rows each term stands, int64 [v]; terms are unique within an item."""
        counts = np.zeros(self.vocabulary_size, np.int64)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            ids, _, _ = self.flat(rows[start : start + ROWS_AT_ONCE])
            counts += np.bincount(ids, minlength=self.vocabulary_size)
        counts[0] = 0
        return counts


@dataclass(frozen=True, slots=True)
class HeadRows:
    """All items' inputs to a head."""

    embeddings: Mapping[Modality, EmbeddingRows]
    """Of each modality with an encoder."""
    terms: TermRows | None
    presence: NDArray[np.float32]
    """[n, m], 1.0 or 0.0, in the order of `Modality`; a fourth column, `READ`, where there are such texts."""
    read: "HeadRows | None" = None
    """For heads that know texts read from pictures: the same items with those in the place of their own. Only
    items with a picture in which something stands are present."""
    views: Mapping[Modality, tuple[EmbeddingView, ...]] = field(default_factory=dict)
    """Of the modalities whose encoder has any."""

    def __len__(self) -> int:
        return len(self.presence)

    def embedded(
        self, modality: Modality, which: NDArray[np.int64], mask: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """The modality's embeddings [b, d] of some rows under a presence mask [b, m], as a worker gives them:
        zeros where it is absent, and of what was read where the mask says that the text was."""
        found = np.asarray(self.embeddings[modality][which], np.float32)
        if self.read is not None and modality is Modality.TEXT:
            is_read = mask[:, -1] > 0
            found[is_read] = self.read.embeddings[modality][which[is_read]]
        shown: NDArray[np.float32] = found * mask[:, MODALITIES.index(modality)][:, None]
        return np.ascontiguousarray(shown)

    def padded_terms(
        self, which: NDArray[np.int64], mask: NDArray[np.float32], multiple: int = 1
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Ids and weights [b, t] likewise, padded; for a head with hashed terms."""
        if self.terms is None:
            raise ValueError("these rows have no hashed terms")
        ids, weights = self.terms.padded(which, multiple)
        if self.read is not None and self.read.terms is not None:
            of_read, read_weights = self.read.terms.padded(which, multiple)
            width = max(ids.shape[1], of_read.shape[1])
            is_read = mask[:, -1:] > 0
            ids = np.where(is_read, _wider(of_read, width), _wider(ids, width))
            weights = np.where(is_read, _wider(read_weights, width), _wider(weights, width))
        shown = mask[:, MODALITIES.index(Modality.TEXT)][:, None]
        return (ids * shown).astype(np.int32), (weights * shown).astype(np.float32)

    def has(self, modality: Modality) -> NDArray[np.bool_]:
        """Which items have the modality, bool [n]."""
        present: NDArray[np.bool_] = self.presence[:, MODALITIES.index(modality)] > 0
        return present


def _wider(padded: NDArray[Any], width: int) -> NDArray[Any]:
    return np.pad(padded, ((0, 0), (0, width - padded.shape[1])))
