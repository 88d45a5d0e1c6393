"""Texts to hashed terms."""

from math import log
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genrestream.schemas.features import HashedTextFeatures
from genrestream.workers.features.terms import hashed_terms

WORDS_ONLY = HashedTextFeatures(char_buckets=0)
CHARS_ONLY = HashedTextFeatures(word_ngrams=1)


def word_id(term: str) -> int:
    return 1 + crc32(term.encode()) % (1 << 15)


def chars(fields: tuple[str, ...], spec: HashedTextFeatures = CHARS_ONLY) -> list[int]:
    return [int(index) for index in hashed_terms(fields, spec).ids if index > 1 << 15]


def test_words_and_pairs_are_counted() -> None:
    """Ids are 1 + CRC-32 modulo the buckets, weights 1 + ln(count): "blues" twice, each pair once."""
    terms = hashed_terms(("Blues, blues & Jazz",), WORDS_ONLY)
    weights = dict(zip(terms.ids.tolist(), terms.weights.tolist(), strict=True))
    assert weights == pytest.approx(
        {
            word_id("blues"): 1 + log(2),
            word_id("jazz"): 1.0,
            word_id("blues blues"): 1.0,
            word_id("blues jazz"): 1.0,
        }
    )


def test_case_and_accents_do_not_count() -> None:
    """ÉTÉ, été and ete are one word; a vowel sign of Devanagari is a letter and does count."""
    ids = [hashed_terms((text,), WORDS_ONLY).ids.tolist() for text in ("ÉTÉ", "été", "ete")]
    assert ids == [[word_id("ete")]] * 3
    assert hashed_terms(("कि",), WORDS_ONLY).ids.tolist() != hashed_terms(("क",), WORDS_ONLY).ids.tolist()


def test_vowel_signs_belong_to_their_word() -> None:
    """A Hindi word with vowel signs and a Thai one with tone marks are one word each; "a_b" is two."""
    assert hashed_terms(("हिन्दी",), WORDS_ONLY).ids.tolist() == [word_id("हिन्दी")]
    assert len(hashed_terms(("น้ำ",), WORDS_ONLY).ids) == 1
    assert word_id("b") in hashed_terms(("a_b",), WORDS_ONLY).ids


def test_pairs_do_not_cross_fields() -> None:
    """The title's last word and the author's first are no pair."""
    assert word_id("nights miles") not in hashed_terms(("Jazz nights", "Miles"), WORDS_ONLY).ids


def test_character_grams_stay_inside_words() -> None:
    """ " jazz " has 4 + 3 + 2 grams of 3 to 5; two words have the grams of each and none across."""
    assert len(chars(("jazz",))) == 9
    assert sorted(chars(("jazz funk",))) == sorted(chars(("jazz",)) + chars(("funk",)))


def test_character_ids_lie_behind_the_word_ids() -> None:
    """Words take 1..word_buckets, characters the char_buckets after them; 0 stays for padding."""
    spec = HashedTextFeatures(word_buckets=64, char_buckets=32)
    terms = hashed_terms(("the quick brown fox jumps over the lazy dog",), spec)
    assert terms.ids.min() >= 1
    assert terms.ids.max() <= 96
    assert spec.vocabulary_size == 97
    assert (terms.ids > 64).any()


def test_hashes_are_the_same_everywhere() -> None:
    """A release's table of terms is addressed by these ids: they may never change."""
    assert sorted(hashed_terms(("Jazz",), HashedTextFeatures()).ids.tolist()) == [
        24627, 37325, 39357, 40231, 43843, 54362, 58760, 58892, 60261, 61334,
    ]  # fmt: skip


def test_a_long_text_keeps_the_terms_of_its_start() -> None:
    """As many of the first words as have 100 terms or fewer, with all of theirs, and none of the last."""
    spec = HashedTextFeatures(max_terms=100)
    terms = hashed_terms(("word0 word1", " ".join(f"word{index}" for index in range(2, 1000))), spec)
    assert 80 <= len(terms.ids) <= 100
    assert {word_id("word0"), word_id("word1"), word_id("word0 word1"), word_id("word2")} <= {*terms.ids}
    assert word_id("word999") not in terms.ids
    assert set(chars(("word0",))) <= {*terms.ids}


def test_one_endless_word_is_cut_too() -> None:
    """A single word with more terms than allowed still gives no more than allowed."""
    word = "".join(chr(97 + index * index % 26) + str(index) for index in range(500))
    terms = hashed_terms((word, "and others"), HashedTextFeatures(max_terms=16))
    assert len(terms.ids) == 16
    assert word_id(word) in terms.ids


def test_a_text_without_words_has_no_terms() -> None:
    """Punctuation alone gives empty arrays of the right types."""
    terms = hashed_terms(("?! ...",), HashedTextFeatures())
    assert terms.ids.shape == terms.weights.shape == (0,)
    assert (terms.ids.dtype, terms.weights.dtype) == ("int32", "float32")


@given(st.lists(st.text(max_size=100), max_size=3), st.integers(0, 40), st.integers(1, 3))
def test_any_text_gives_distinct_ids_within_the_table(fields: list[str], buckets: int, ngrams: int) -> None:
    """Ids are distinct and in the table, weights finite and at least 1, never more terms than allowed."""
    spec = HashedTextFeatures(
        word_buckets=16, char_buckets=buckets, word_ngrams=ngrams, char_ngrams_min=1, max_terms=20
    )
    clean = tuple(field.encode(errors="ignore").decode() for field in fields)
    terms = hashed_terms(clean, spec)
    assert len(set(terms.ids.tolist())) == len(terms.ids) <= 20
    assert all(1 <= index < spec.vocabulary_size for index in terms.ids)
    assert np.isfinite(terms.weights).all()
    assert (terms.weights >= 1).all()
