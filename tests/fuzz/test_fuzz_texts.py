"""Any text through the text features."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.effort import examples
from tests.fuzz.targets import check_texts

ODD = st.sampled_from(
    ["\0", "\ud800", "\udfff", "\ufeff", "\u202e", "\u2066", "\u200b", "\ufdfa", "\u0301", "\u0f73", "\uff9e",
     "\U0001f468\u200d\U0001f469", "İ", "ß", "<script>", "</script", "<!--", "&#0;", "&#xD800;", "&amp", "_",
     "&#" + "1" * 4_301, "&#" + "0" * 4_301 + "65;", "&#x" + "1" * 4_301]
)  # fmt: skip
TEXT = st.lists(st.text(max_size=30) | st.text(st.characters(), max_size=30) | ODD, max_size=12).map("".join)


@examples(400)
@given(st.lists(TEXT, max_size=4))
def test_any_texts(texts: list[str]) -> None:
    """Ids and weights within their bounds, or no text."""
    check_texts(tuple(texts))


@examples(100)
@given(TEXT.filter(bool), st.integers(1, 5_000))
def test_any_text_again_and_again(text: str, times: int) -> None:
    """Long runs of the same thing, where what costs the square of the length would show."""
    check_texts((text * times,))


@pytest.mark.parametrize(
    "text",
    ["word " * 2_000_000, "x" * 10_000_000, "\U0001f600" * 2_500_000, "<" * 10_000_000, "&" * 10_000_000],
    ids=["words", "one word", "emoji", "tags", "entities"],
)
def test_ten_megabytes(text: str) -> None:
    """Ten megabytes of text, of one word, of what markup begins with: cut, and read."""
    assert check_texts((text,)) == "text"
