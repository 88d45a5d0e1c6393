"""Items that are broken on purpose, one of each sort that catalogues bring.

Half of them end as dead letters, each with another code; the others are labelled from what is left of them.
"""

from dataclasses import dataclass
from pathlib import Path

import orjson

from genrestream.client.publisher import Message
from genrestream.demo.journal import Expected
from genrestream.schemas import Kind
from genrestream.schemas.items import SCHEMA_VERSION
from genrestream.schemas.topics import INPUT_TOPICS


@dataclass(frozen=True, slots=True)
class Planned:
    """What is to be published, and what the demo knows about it."""

    message: Message
    item: Expected


def bad_items(media_root: Path) -> list[Planned]:
    """The broken items; the files that they name lie below `media_root`, or do not exist.

    Raises:
        OSError: the folder cannot be written.
    """
    folder = media_root / "broken"
    folder.mkdir(parents=True, exist_ok=True)
    truncated = folder / "poster.jpg"
    truncated.write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00 and here the transfer broke off")
    mislabelled = folder / "song.mp3"
    mislabelled.write_text("<html><body>404: this track has moved</body></html>", encoding="utf-8")
    absent = folder / "nothing-here.jpg"

    words = {"title": "Warehouse night", "description": "Pounding kick drums, acid lines and strobe lights."}
    return [
        _raw(Kind.EVENT, "demo-bad-json", b'{"kind": "event", "id": "demo-bad-json", "title": "Cut o'),
        _raw(Kind.EVENT, "demo-bad-kind", orjson.dumps({"kind": "museum", "id": "demo-bad-kind"})),
        _item(Kind.PODCAST, "demo-newer-schema", schema_version=SCHEMA_VERSION + 1, title="From the future"),
        _item(Kind.PODCAST, "demo-no-content", title="  "),
        _raw(Kind.TRACK, "demo-wrong-key", orjson.dumps({"kind": "track", "id": "another", "title": "Keys"})),
        _item(Kind.EVENT, "demo-nothing-left", poster=absent.as_uri()),
        _item(Kind.EVENT, "demo-broken-poster", poster=truncated.as_uri(), **words),
        _item(Kind.EVENT, "demo-missing-poster", poster=absent.as_uri(), **words),
        _item(Kind.EVENT, "demo-forbidden-poster", poster="file:///etc/hostname", **words),
        _item(
            Kind.TRACK,
            "demo-page-for-audio",
            title="Freight train",
            lyrics="Whiskey and trouble on my mind, the crossroads and a lonesome whistle",
            audio=mislabelled.as_uri(),
        ),
    ]


def _item(kind: Kind, item_id: str, **fields: str | int) -> Planned:
    return _raw(kind, item_id, orjson.dumps({"kind": kind, "id": item_id, **fields}))


def _raw(kind: Kind, item_id: str, value: bytes) -> Planned:
    return Planned(
        Message(INPUT_TOPICS[kind].name, item_id.encode(), value), Expected(kind, item_id, name=item_id)
    )
