"""Catalogue items as ingest services publish them: JSON, the item's id as the Kafka key.

Unknown fields are ignored, so that producers may move first. Media are references or inline bytes.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Base64Bytes, BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

SCHEMA_VERSION = 1
"""The version of every record in this package; a reader refuses a higher one."""

MAX_ID_CHARS = 200
MAX_URL_CHARS = 4096
MAX_INLINE_MEDIA_BYTES = 1_048_576
"""Inline media up to 1 MiB; larger media travel as references."""
MAX_INLINE_BASE64_CHARS = 4 * -(-MAX_INLINE_MEDIA_BYTES // 3)
"""The same limit on the encoded form, checked before anything is decoded."""


class Kind(StrEnum):
    """What an item is; one input topic a kind."""

    EVENT = "event"
    PODCAST = "podcast"
    TRACK = "track"


class Modality(StrEnum):
    """A way in which an item can be perceived; the order is that of the presence mask."""

    TEXT = "text"
    IMAGE = "image"
    AUDIO = "audio"


class MediaReference(BaseModel):
    """Where a picture or a recording can be read: http(s), s3, gs, or file under the allowed root."""

    model_config = ConfigDict(frozen=True)

    url: str = Field(
        min_length=1, max_length=MAX_URL_CHARS, description="http(s)://, s3://, gs:// or file://"
    )


class InlineMedia(BaseModel):
    """A picture or a recording inside the message itself, base64 in JSON, at most 1 MiB decoded."""

    model_config = ConfigDict(frozen=True)

    data: Base64Bytes = Field(min_length=1, max_length=MAX_INLINE_BASE64_CHARS)


def _url_shorthand(value: Any) -> Any:
    """Read a bare string as the URL of a reference."""
    return {"url": value} if isinstance(value, str) else value


def _media_form(value: Any) -> str:
    """Tell the two forms apart by their one field, so that an error speaks of the form that was meant."""
    inline = isinstance(value, InlineMedia) or (isinstance(value, dict) and "data" in value)
    return "inline" if inline else "reference"


Url = Annotated[str, Field(min_length=1, max_length=MAX_URL_CHARS)]

Media = Annotated[
    Annotated[MediaReference, Tag("reference")] | Annotated[InlineMedia, Tag("inline")],
    Discriminator(_media_form),
    BeforeValidator(_url_shorthand, json_schema_input_type=Url | MediaReference | InlineMedia),
]
"""A reference, inline bytes, or a bare URL."""

# Printable, no control characters: an id becomes a Kafka key, a Redis key and a log field.
ItemId = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS, pattern=r"^[^\x00-\x1f\x7f]+$")]


class CatalogueItem(BaseModel):
    """What every kind has."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1, le=SCHEMA_VERSION)
    id: ItemId = Field(description="Unique within the kind; also the Kafka key.")
    title: str | None = None
    source: str | None = Field(default=None, max_length=200, description="The scraper that found the item.")


class Event(CatalogueItem):
    """A concert, a screening, a club night: poster, title, description."""

    kind: Literal[Kind.EVENT] = Kind.EVENT
    description: str | None = None
    poster: Media | None = None


class Podcast(CatalogueItem):
    """A podcast: cover, title, author, description."""

    kind: Literal[Kind.PODCAST] = Kind.PODCAST
    author: str | None = None
    description: str | None = None
    cover: Media | None = None


class Track(CatalogueItem):
    """A piece of music: audio, lyrics, cover, title, artist, album."""

    kind: Literal[Kind.TRACK] = Kind.TRACK
    artist: str | None = None
    album: str | None = None
    lyrics: str | None = None
    audio: Media | None = None
    cover: Media | None = None


Item = Event | Podcast | Track

ITEM_MODELS: dict[Kind, type[Event] | type[Podcast] | type[Track]] = {
    Kind.EVENT: Event,
    Kind.PODCAST: Podcast,
    Kind.TRACK: Track,
}

MEDIA_FIELDS: dict[Kind, dict[Modality, str]] = {
    Kind.EVENT: {Modality.IMAGE: "poster"},
    Kind.PODCAST: {Modality.IMAGE: "cover"},
    Kind.TRACK: {Modality.IMAGE: "cover", Modality.AUDIO: "audio"},
}
"""The field that holds each media modality of a kind."""

TEXT_FIELDS: dict[Kind, tuple[str, ...]] = {
    Kind.EVENT: ("title", "description"),
    Kind.PODCAST: ("title", "author", "description"),
    Kind.TRACK: ("title", "artist", "album", "lyrics"),
}
"""The fields that make up an item's text, in reading order."""


def item_model(kind: Kind) -> type[Event] | type[Podcast] | type[Track]:
    """The model of a kind's items."""
    return ITEM_MODELS[kind]


def media_of(item: Item, modality: Modality) -> MediaReference | InlineMedia | None:
    """The item's picture or recording, or None when it has none or its kind knows none."""
    field = MEDIA_FIELDS[item.kind].get(modality)
    media: MediaReference | InlineMedia | None = getattr(item, field) if field else None
    return media


def text_fields_of(item: Item) -> tuple[str, ...]:
    """The item's non-blank texts in reading order: title, author or artist, description or lyrics."""
    texts = (getattr(item, field) for field in TEXT_FIELDS[item.kind])
    return tuple(text for text in texts if text and not text.isspace())
