"""Texts to hashed terms: word n-grams and character n-grams for a head's table of terms.

Legend: c characters, n distinct terms.
"""

import re
import unicodedata
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas.features import HashedTextFeatures
from genrestream.workers.features.content import HashedTerms

# `\w` knows letters and digits, but not the signs that Indic scripts, Thai or Arabic write vowels with.
_MARKS = "".join(chr(code) for code in range(0x0300, 0xFE30) if unicodedata.category(chr(code))[0] == "M")
_WORD = re.compile(rf"[\w{_MARKS}]+")
# The Combining Diacritical Marks block only: vowel signs of Indic scripts and Thai are letters, not accents.
_ACCENT = re.compile("[\u0300-\u036f]+")
_SPACE = 32
# Knuth's multiplicative constant (TAOCP 3, 6.4) rolls the characters together.
_ROLL = np.uint32(2_654_435_761)


def hashed_terms(fields: tuple[str, ...], spec: HashedTextFeatures) -> HashedTerms:
    """The distinct terms of cleaned fields with weight 1 + ln(count); none when there is no word.

    `HashedTextFeatures` has the definition of a term, its id, and which are kept.
    """
    # All fields weigh the same: with character terms beside the words, counting titles and authors twice gave
    # nothing on podcasts (top-1 .633 against .636 for a linear model).
    words_by_field = [_WORD.findall(_fold(field)) for field in fields]
    word_ids, word_offsets = _word_terms(words_by_field, spec)
    char_ids, char_offsets = _char_terms(words_by_field, spec)
    ids = np.concatenate([word_ids, char_ids])
    distinct, first, counts = np.unique(ids, return_index=True, return_counts=True)
    if len(distinct) > spec.max_terms:
        offsets = np.concatenate([word_offsets, char_offsets])[first]
        kept = np.argsort(offsets, kind="stable")[: spec.max_terms]
        distinct, counts = distinct[kept], counts[kept]
    return HashedTerms(distinct, 1 + np.log(counts, dtype=np.float32))


def _fold(text: str) -> str:
    """Lower case without accents; an underscore separates words."""
    text = text.lower().replace("_", " ")
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", _ACCENT.sub("", unicodedata.normalize("NFKD", text)))


def _word_terms(
    words_by_field: list[list[str]], spec: HashedTextFeatures
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Ids of the word n-grams and where in the text each starts, in characters."""
    hashes: list[int] = []
    offsets: list[int] = []
    offset = 1
    for words in words_by_field:
        encoded = [word.encode() for word in words]
        starts = []
        for word in words:
            starts.append(offset)
            offset += len(word) + 1
        grams = encoded
        hashes += map(crc32, grams)
        offsets += starts
        for n in range(2, spec.word_ngrams + 1):
            grams = [gram + b" " + word for gram, word in zip(grams, encoded[n - 1 :], strict=False)]
            hashes += map(crc32, grams)
            offsets += starts[: len(grams)]
    ids = 1 + np.array(hashes, dtype=np.uint32) % np.uint32(spec.word_buckets)
    return ids.astype(np.int32), np.array(offsets, dtype=np.int64)


def _char_terms(
    words_by_field: list[list[str]], spec: HashedTextFeatures
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Ids of the character n-grams inside words and where in the text each starts, in characters."""
    padded = f" {' '.join(word for words in words_by_field for word in words)} "
    chars = np.frombuffer(padded.encode("utf-32-le"), dtype="<u4")  # [c]
    hashes = chars * _ROLL
    is_space = chars == _SPACE
    # Whether a gram holds a space between its first and its last character.
    crosses = np.zeros(len(chars), dtype=bool)
    found_ids: list[NDArray[np.uint32]] = []
    found_offsets: list[NDArray[np.int64]] = []
    for n in range(1, spec.char_ngrams_max + 1):
        if n > len(chars) or spec.char_buckets == 0:
            break
        if n > 1:
            hashes = (hashes[:-1] ^ (hashes[:-1] >> np.uint32(15))) * _ROLL + chars[n - 1 :]
        if n > 2:
            crosses = crosses[:-1] | is_space[n - 2 : -1]
        elif n == 2:
            crosses = crosses[:-1]
        if n >= spec.char_ngrams_min:
            offsets = np.flatnonzero(~crosses)
            found_ids.append(_mix(hashes[offsets]))
            found_offsets.append(offsets)
    if not found_ids:
        return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64)
    ids = np.concatenate(found_ids) % np.uint32(spec.char_buckets)
    return (1 + spec.word_buckets + ids).astype(np.int32), np.concatenate(found_offsets)


def _mix(hashes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Spread the hashes' high bits over the low ones, which the bucket is taken from (MurmurHash3 fmix32)."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))
