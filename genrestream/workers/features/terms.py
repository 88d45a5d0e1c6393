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
_ACCENT = re.compile("[\u0300-\u036f]")
_SPACE = 32
# Knuth's multiplicative constant (TAOCP 3, 6.4) rolls the characters together.
_ROLL = np.uint32(2_654_435_761)


def hashed_terms(fields: tuple[str, ...], spec: HashedTextFeatures) -> HashedTerms:
    """The distinct terms of cleaned fields with weight 1 + ln(count); none when there is no word.

    `HashedTextFeatures` has the definition of a term, its id, and which are kept.
    """
    # All fields weigh the same: with character terms beside the words, counting titles and authors twice gave
    # nothing on podcasts (top-1 .633 against .636 for a linear model).
    words_by_field = [folded_words(field) for field in fields]
    ids, counts = _counted(words_by_field, spec)
    words = sum(map(len, words_by_field))
    while len(ids) > spec.max_terms and words > 1:
        # Texts repeat themselves, so that the share that is kept fits a little less each time: a few rounds.
        words = max(1, words * spec.max_terms // len(ids))
        words_by_field = _first_words(words_by_field, words)
        ids, counts = _counted(words_by_field, spec)
    return HashedTerms(ids[: spec.max_terms], 1 + np.log(counts[: spec.max_terms], dtype=np.float32))


def folded_words(field: str) -> list[str]:
    """The words of a cleaned field in reading order, in lower case and without accents."""
    return _WORD.findall(_fold(field))


def _counted(
    words_by_field: list[list[str]], spec: HashedTextFeatures
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The distinct ids in rising order, and how often each occurs."""
    word_ids = 1 + _word_hashes(words_by_field, spec) % np.uint32(spec.word_buckets)
    if not spec.char_buckets:
        return np.unique(word_ids.astype(np.int32), return_counts=True)
    char_ids = np.uint32(1 + spec.word_buckets) + _char_hashes(words_by_field, spec) % np.uint32(
        spec.char_buckets
    )
    return np.unique(np.concatenate([word_ids, char_ids]).astype(np.int32), return_counts=True)


def _first_words(words_by_field: list[list[str]], count: int) -> list[list[str]]:
    kept = []
    for words in words_by_field:
        kept.append(words[:count])
        count -= len(kept[-1])
    return kept


def _fold(text: str) -> str:
    """Lower case without accents; an underscore separates words."""
    text = text.lower().replace("_", " ")
    if text.isascii():
        return text
    return unicodedata.normalize("NFKC", _ACCENT.sub("", unicodedata.normalize("NFKD", text)))


def _word_hashes(words_by_field: list[list[str]], spec: HashedTextFeatures) -> NDArray[np.uint32]:
    """CRC-32 of every word n-gram of each field, uint32."""
    hashes: list[int] = []
    for words in words_by_field:
        encoded = [word.encode() for word in words]
        grams = list(map(crc32, encoded))
        hashes += grams
        # CRC-32 goes on where it stopped: that of "a b" is that of " b" started with that of "a".
        following = [b" " + word for word in encoded]
        for n in range(1, spec.word_ngrams):
            grams = list(map(crc32, following[n:], grams))
            hashes += grams
    return np.array(hashes, dtype=np.uint32)


def _char_hashes(words_by_field: list[list[str]], spec: HashedTextFeatures) -> NDArray[np.uint32]:
    """The rolling hash of every character n-gram that does not reach over a space, uint32."""
    padded = f" {' '.join(word for words in words_by_field for word in words)} "
    chars = np.frombuffer(padded.encode("utf-32-le"), dtype="<u4")  # [c]
    is_space = chars == _SPACE
    hashes = chars * _ROLL
    # Whether a gram holds a space that is not its first or last character, or is nothing but one.
    crosses = is_space
    found: list[NDArray[np.uint32]] = []
    for n in range(1, min(spec.char_ngrams_max, len(chars)) + 1):
        if n > 1:
            hashes = (hashes[:-1] ^ (hashes[:-1] >> np.uint32(15))) * _ROLL + chars[n - 1 :]
            inner = is_space[n - 2 : -1]
            crosses = (crosses[:-1] | inner) if n > 2 else np.zeros(len(hashes), dtype=bool)
        if n >= spec.char_ngrams_min:
            found.append(hashes[~crosses])
    return _mix(np.concatenate(found)) if found else np.empty(0, dtype=np.uint32)


def _mix(hashes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Spread the hashes' high bits over the low ones, which the bucket is taken from (MurmurHash3 fmix32)."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))
