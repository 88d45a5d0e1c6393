"""Nearly equal texts: the share of character shingles that two have in common, found by MinHash.

Broder 1997, "On the resemblance and containment of documents". Shingles of characters, not of words: they
need no spaces between words, and a letter's change costs 8 of them. Legend: s shingles, b bands.
"""

from array import array
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from genrestream.training.disk_arrays import zeros_on_disk
from genrestream.training.near_duplicates.near_equal import near_equal_classes
from genrestream.workers.features.terms import folded_words
from genrestream.workers.features.text import clean_fields

SHINGLE_CHARS = 8
MIN_SHINGLES = 60
"""About ten words. A shorter text, such as a title with its artist or "New episodes every Monday", is the
same for different items; of film and podcast descriptions 1 % are shorter."""
MIN_JACCARD = 0.6
"""From here on two texts are of one item. Measured on the descriptions of 3,335 screenings and 3,846 films,
many of them the same film in other words: of 1,948 pairs at 0.6 and more 1,940 have the same title, and the
other eight titles are variants of one; the 64 pairs from 0.4 to 0.6 are too. Among 4,503 podcasts one pair
of groups reaches 0.6, a show published twice; from 0.5 down pairs share a boilerplate alone."""
MAX_CHARS = 20_000
"""Of a longer text only the beginning is looked at."""

BANDS = 25
ROWS_A_BAND = 4
"""Two texts meet with probability 1 - (1 - j^4)^25: 97 % at j = 0.6, 99.9 % at 0.7, 4 % at 0.2."""

_ROLL = np.uint64(0x9E37_79B9_7F4A_7C15)
"""2^64 divided by the golden ratio (Knuth, TAOCP 3, 6.4)."""
_FACTORS = np.random.default_rng(0).integers(1, 2**63, BANDS * ROWS_A_BAND, dtype=np.uint64) * np.uint64(
    2
) + np.uint64(1)
_AT_ONCE = 2_048
"""Shingles multiplied together: 1.6 MB of products."""


def equal_texts(text_of: Callable[[int], tuple[str, ...]], count: int) -> list[list[int]]:
    """Classes of rows, 0 to `count`, whose texts are nearly equal; rows of few words are in none.

    A text is asked for again when it has to be compared: a million of them need not fit into memory.
    """

    @lru_cache(maxsize=4_096)
    def shingles_of(row: int) -> NDArray[np.uint64]:
        return shingles(text_of(row))

    rows = array("q")
    keys = zeros_on_disk((count, BANDS), np.uint64)
    for row in range(count):
        found = shingles(text_of(row))
        if len(found) >= MIN_SHINGLES:
            keys[len(rows)] = band_keys(found)
            rows.append(row)
    classes = near_equal_classes(
        keys[: len(rows)],
        lambda one, other: jaccard(shingles_of(rows[one]), shingles_of(rows[other])) >= MIN_JACCARD,
    )
    return [[rows[member] for member in members] for members in classes]


def shingles(fields: tuple[str, ...]) -> NDArray[np.uint64]:
    """The distinct runs of 8 characters of the fields' words, each as a hash, ascending: uint64 [s].

    Case, accents, punctuation, markup and the bounds of fields do not count.
    """
    words = [word for field in clean_fields(fields, MAX_CHARS) for word in folded_words(field)]
    chars = np.frombuffer(" ".join(words).encode("utf-32-le"), "<u4").astype(np.uint64)
    count = max(0, len(chars) - SHINGLE_CHARS + 1)
    hashes = np.zeros(count, np.uint64)
    for place in range(SHINGLE_CHARS):
        hashes = hashes * _ROLL + chars[place : place + count]
        hashes ^= hashes >> np.uint64(29)
    return np.unique(hashes)


def jaccard(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> float:
    """Shingles in both texts by shingles in either, 0.0 to 1.0."""
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common / max(1, len(one) + len(other) - common)


def band_keys(found: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A key a band, uint64 [b], of at least one shingle: four minima of as many hash functions each."""
    minima = np.full(len(_FACTORS), np.iinfo(np.uint64).max, np.uint64)
    for start in range(0, len(found), _AT_ONCE):
        # The high half of the product: the low bits of a product depend on low bits alone.
        hashed = (found[start : start + _AT_ONCE, None] * _FACTORS) >> np.uint64(32)
        minima = np.minimum(minima, hashed.min(axis=0))
    keys = np.zeros(BANDS, np.uint64)
    for part in minima.reshape(BANDS, ROWS_A_BAND).T:
        keys = (keys ^ part) * _ROLL
        keys ^= keys >> np.uint64(29)
    return keys
