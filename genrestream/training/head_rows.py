"""What heads are trained on: an embedding a modality, hashed terms and the presence mask, item by item.

Legend: n items, d embedding size, m modalities (text, image, audio), v rows of the term table, t terms.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas.items import Modality

MODALITIES = tuple(Modality)


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
        for row in rows:
            counts[self.ids[self.starts[row] : self.starts[row + 1]]] += 1
        counts[0] = 0
        return counts


@dataclass(frozen=True, slots=True)
class HeadRows:
    """All items' inputs to a head."""

    embeddings: Mapping[Modality, NDArray[np.float32]]
    """Of each modality with an encoder [n, d]; zeros where the item lacks it."""
    terms: TermRows | None
    presence: NDArray[np.float32]
    """[n, m], 1.0 or 0.0, in the order of `Modality`."""

    def __len__(self) -> int:
        return len(self.presence)

    def has(self, modality: Modality) -> NDArray[np.bool_]:
        """Which items have the modality, bool [n]."""
        present: NDArray[np.bool_] = self.presence[:, MODALITIES.index(modality)] > 0
        return present
