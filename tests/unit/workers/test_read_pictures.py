"""When a picture's text is taken for the item's."""

from dataclasses import dataclass, field, replace

import pytest

from genrestream.schemas.features import PictureTextFeatures
from genrestream.workers.features.content import Content, FeaturePlan
from genrestream.workers.live import LiveKind
from genrestream.workers.read_pictures import with_picture_text

SPEC = PictureTextFeatures()
PICTURE = b"a picture"


@dataclass
class Texts:
    """Says the same of every picture."""

    fields: tuple[str, ...]
    spec: PictureTextFeatures = SPEC
    asked: list[bytes] = field(default_factory=list)

    async def read(self, picture: bytes, spec: PictureTextFeatures) -> tuple[str, ...]:
        self.asked.append(picture)
        assert spec == self.spec
        return self.fields


def live(spec: PictureTextFeatures | None) -> LiveKind:
    return LiveKind("event", (), {}, FeaturePlan((), {}), frozenset(), spec)


@pytest.mark.parametrize(
    ("content", "spec"),
    [
        (Content(("A title",), PICTURE), SPEC),
        (Content((), None), SPEC),
        (Content((), PICTURE), None),
    ],
    ids=["it has a text", "it has no picture", "no head knows such texts"],
)
async def test_nothing_is_read_where_it_is_not_wanted(content, spec):
    """It would cost half a second."""
    texts = Texts(("JAZZ",))
    assert await with_picture_text(content, live(spec), texts) is content
    assert texts.asked == []


@pytest.mark.parametrize("blank", [(), ("",), (" ", "\n")])
async def test_a_text_that_is_blank_is_none(blank):
    """The picture's is taken, and marked as read."""
    texts = Texts(("JAZZ TONIGHT",))
    content = Content(blank, PICTURE)
    found = await with_picture_text(content, live(SPEC), texts)
    assert found == replace(content, text=("JAZZ TONIGHT",), text_is_read=True)
    assert found.read_text == "JAZZ TONIGHT"
    assert texts.asked == [PICTURE]


@pytest.mark.parametrize("fields", [("JAZZ TONIGHT",), ()])
async def test_a_head_that_knows_no_other_texts_is_shown_none(fields):
    """What the item says is left out, also where the picture says nothing or is not there."""
    always = PictureTextFeatures(when="always")
    texts = Texts(fields, spec=always)
    found = await with_picture_text(Content(("A title",), PICTURE), live(always), texts)
    assert found == Content(fields, PICTURE, text_is_read=True)
    no_picture = await with_picture_text(Content(("A title",)), live(always), texts)
    assert no_picture.text == ()
    assert texts.asked == [PICTURE]


async def test_a_picture_that_says_nothing_changes_nothing():
    """The text stays absent."""
    content = Content((), PICTURE)
    assert await with_picture_text(content, live(SPEC), Texts(())) is content
    assert content.read_text is None
