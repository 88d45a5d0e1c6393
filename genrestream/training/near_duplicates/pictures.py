"""Nearly equal pictures: 256 signs of a picture's coarse structure, compared bit by bit.

A perceptual hash by the discrete cosine transform (Zauner 2010, "Implementation and Benchmarking of
Perceptual Image Hash Functions"), on the whole picture as the features see it. Legend: n pictures, b bands.
"""

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas.features import ImageFeatures
from genrestream.training.near_duplicates.near_equal import near_equal_classes
from genrestream.workers.features.content import DEFAULT_LIMITS
from genrestream.workers.features.image import image_tensor

SIDE_PX = 64
FREQUENCIES = 16
"""Of each direction, the lowest but the constant one."""
HASH_BYTES = FREQUENCIES * FREQUENCIES // 8
MAX_BITS = 24
"""Two pictures that differ in more bits are two pictures. Of 3,335 posters no two differ in fewer than 82.
120 of them in another form differ from themselves, at most, in 6 bits (JPEG quality 30, WebP, half or double
size), 10 (a third of the size, quality 40), 4 (grey; 5 % lower), 22 (15 % brighter), 28 (1 % cut off each
side, 24 in 99 of 100); at 2 % cut off the median is 30 already: cropped pictures are not looked for.
Drawn posters that differ in a line of small type alone, as a date, differ in 2 to 26 bits: most are one."""
MIN_DEVIATION = 5.0
"""Of a picture's grey levels (0 to 255); flatter ones are blank. Of 3,335 posters the flattest has 16."""

BANDS = 10
BITS_A_BAND = 25
"""A million pictures meet by chance 200,000 times (of 5.6 million pairs of posters 2 did), and all re-encoded
and rescaled posters met their original; so did 95 % of those with 1 % cut off."""

_SPEC = ImageFeatures(height_px=SIDE_PX, width_px=SIDE_PX)
_GREY = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601."""
_COSINES = np.cos(
    np.pi * np.outer(np.arange(1, FREQUENCIES + 1), 2 * np.arange(SIDE_PX) + 1) / (2 * SIDE_PX)
)  # [frequency, pixel]: DCT-II


def picture_hash(data: bytes) -> NDArray[np.uint8]:
    """The hash uint8 [32] of a picture in any format that is served; all zeros if it is blank.

    Raises:
        UnreadableMedia, MediaTooLarge: as `image_tensor`.
    """
    grey = image_tensor(data, _SPEC, DEFAULT_LIMITS) @ _GREY
    if grey.std() < MIN_DEVIATION:
        return np.zeros(HASH_BYTES, np.uint8)
    coefficients = _COSINES @ grey @ _COSINES.T
    return np.packbits(coefficients > np.median(coefficients))


def equal_pictures(hashes: NDArray[np.uint8]) -> list[list[int]]:
    """Classes of rows whose hashes uint8 [n, 32] are nearly equal; rows of zeros, no hash, are in none."""
    rows = np.flatnonzero(hashes.any(axis=1))
    words = np.ascontiguousarray(hashes[rows]).view(np.uint64)

    def near(one: int, other: int) -> bool:
        differing: NDArray[np.uint64] = words[one] ^ words[other]
        return sum(int(word).bit_count() for word in differing) <= MAX_BITS

    return [[int(rows[member]) for member in members] for members in near_equal_classes(_keys(words), near)]


def _keys(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A key a band, uint64 [n, b], of hashes uint64 [n, 4]: every tenth bit, of all frequencies."""
    bits = np.unpackbits(words.view(np.uint8), axis=1)[:, : BANDS * BITS_A_BAND]
    by_band = bits.reshape(len(words), BITS_A_BAND, BANDS)
    keys = np.zeros((len(words), BANDS), np.uint64)
    for place in range(BITS_A_BAND):
        keys |= by_band[:, place].astype(np.uint64) << np.uint64(place)
    return keys
