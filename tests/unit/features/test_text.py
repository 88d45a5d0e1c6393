"""Texts to token ids."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genrestream.schemas.features import TextFeatures
from genrestream.workers.features.errors import FeatureSetupError
from genrestream.workers.features.text import (
    COMBINING,
    MAY_COMBINE,
    clean_fields,
    join_fields,
    token_ids,
)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("<p>Jazz &amp; <b>Blues</b><br/>tonight</p>", "Jazz & Blues tonight"),
        ("&lt;p&gt;escaped markup&lt;/p&gt;", "escaped markup"),
        ("<style>p { color: red }</style>text<script type='x'>f()</script>", "text"),
        ("I <3 you, 1 < 2 > 0", "I <3 you, 1 < 2 > 0"),
        ("ﬁne ｆｕｌｌ ①", "fine full 1"),
        ("Cafe\u0301", "Café"),
        ("a\x00b\tc\u00a0d\r\n\r\ne", "a b c d e"),
        ("zero\u200bwidth so\u00adft \ufeffmark", "zerowidth soft mark"),
        ("half a pair \ud83d here", "half a pair here"),
        ("क्षत्रिय ภาษาไทย", "क्षत्रिय ภาษาไทย"),
        ("a&#0;b&#00065;&#65c&#1114112;d&#x110000;", "a\ufffdbAAc\ufffdd\ufffd"),
    ],
)
def test_text_is_plain_and_normalised(raw: str, clean: str) -> None:
    """Markup, entities, compatibility forms, controls and invisible characters do not reach the models."""
    assert clean_fields([raw], 1000) == (clean,)


@pytest.mark.parametrize(
    ("reference", "character"),
    [
        ("1" * 4_301, "\ufffd"),
        ("0" * 4_301 + "65", "A"),
        ("x" + "1" * 4_301, "\ufffd"),
        ("0" * 4_301, "\ufffd"),
    ],
    ids=["digits", "zeros", "hexadecimal", "nothing but zeros"],
)
def test_a_character_s_number_may_have_any_length(reference: str, character: str) -> None:
    """4,301 digits, more than Python converts, are read as HTML says: no character, or the one meant."""
    assert clean_fields([f"a&#{reference};b"], 10_000) == (f"a{character}b",)


def test_fields_share_the_character_limit() -> None:
    """The limit counts over all fields in reading order; what lies behind it is not there."""
    assert clean_fields(["abcde", "fghij", "klm"], 8) == ("abcde", "fgh")
    assert clean_fields(["ab", " \x00\u200b ", "cd"], 8) == ("ab", "cd")
    assert clean_fields([" ", "<br>"], 8) == ()


def test_expanding_characters_stay_within_the_limit() -> None:
    """NFKC turns U+FDFA into 18 characters; the limit holds after that."""
    assert len(clean_fields(["\ufdfa" * 1000], 100)[0]) <= 100


@pytest.mark.parametrize(
    "pile",
    [
        "\u0301\u0316" * 20_000,  # above and below by turns: the order that costs most to sort
        "\u0f73" * 20_000,  # class 0 itself, taken apart into two marks
        "\uff9e\u0316" * 20_000,  # halfwidth voiced mark, a mark after NFKC only
        ("\u0301\u0316" * 15 + "\u200b") * 2_000,  # runs joined when what is invisible goes
        "&#x301;&#x316;" * 5_000,
    ],
)
def test_combining_marks_pile_up_to_a_limit(pile: str) -> None:
    """30 marks stay on a character, 60 where each is two in one; sorting them all takes seconds."""
    (cleaned,) = clean_fields([f"a{pile}b"], 20_000)
    assert 30 <= len(cleaned) <= 62
    assert cleaned[0] in "aá"
    assert cleaned[-1] == "b"


def test_every_mark_is_looked_for() -> None:
    """The quick look, which spares most texts the thorough one, overlooks no combining character."""
    assert [mark for mark in COMBINING if not MAY_COMBINE.match(mark)] == []


def test_marks_that_languages_need_stay() -> None:
    """A letter with four marks, Vietnamese, vocalised Hebrew: all there."""
    text = "a\u0323\u0302\u0301\u0308 ệ בְּרֵאשִׁית"
    assert clean_fields([text], 100) == (unicodedata.normalize("NFKC", text),)


@given(st.lists(st.text(st.characters(), max_size=200), max_size=4), st.integers(1, 60))
def test_any_text_gives_encodable_text_within_the_limit(fields: list[str], limit: int) -> None:
    """Every string that Python can hold, lone surrogates included, cleans to UTF-8 text."""
    cleaned = clean_fields(fields, limit)
    assert sum(len(field) for field in cleaned) <= limit
    for field in cleaned:
        assert field.encode()
        assert field == field.strip()


def test_fields_become_sentences() -> None:
    """The encoder reads title, author and description as sentences; an ending that is there is kept."""
    assert join_fields(("Jazz nights", "Who?", "In Paris.")) == "Jazz nights. Who? In Paris."


def test_tokens_follow_the_tokenizer_file(text_spec: TextFeatures, tokenizer_file: tuple[Path, str]) -> None:
    """[CLS]=2 jazz=4 night=5 ##s=6 .=9 in=7 paris=8 .=9 [SEP]=3: pieces and special tokens as in the file."""
    ids = token_ids(("Jazz nights", "in PARIS."), text_spec, str(tokenizer_file[0]))
    assert ids.dtype == "int64"
    assert ids.tolist() == [2, 4, 5, 6, 9, 7, 8, 9, 3]


def test_long_text_is_cut_at_the_token_limit(
    text_spec: TextFeatures, tokenizer_file: tuple[Path, str]
) -> None:
    """16 tokens at most, and the closing special token is among them."""
    ids = token_ids(("jazz " * 10_000,), text_spec, str(tokenizer_file[0]))
    assert ids.tolist() == [2] + [4] * 14 + [3]


def test_another_tokenizer_than_named_stops(text_spec: TextFeatures, tmp_path: Path) -> None:
    """A tokenizer file that was changed would silently feed the encoder other ids: it is refused."""
    other = tmp_path / "other.json"
    other.write_text("{}")
    with pytest.raises(FeatureSetupError, match=r"other\.json has SHA-256 44136fa.*, the release names"):
        token_ids(("jazz",), text_spec, str(other))
    with pytest.raises(FeatureSetupError, match=r"absent\.json cannot be read: No such file"):
        token_ids(("jazz",), text_spec, str(tmp_path / "absent.json"))
