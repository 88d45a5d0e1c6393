"""CloudEvents 1.0 in Kafka's binary mode: the attributes are headers, the value is the record itself.

Records that this project makes carry `ce_specversion`, `ce_id`, `ce_source`, `ce_type`, `ce_time` and
`content-type`. The id is made of what the record is about and its revision, so that a duplicate after a
crash has the id of the first one and consumers may drop it by `ce_source` and `ce_id` alone.
Dead letters carry the untouched headers of the item, CloudEvents or not, and none of ours.

Of what is read, `ce_id` is kept as the name of the event for logs. `ce_time` is not used: arrival is when
Kafka took the item, since a scraper's clock is nobody's to trust. An item without these headers is welcome.
The structured mode, in which the value is an envelope around the item, is refused with a clear message.

Specification: CloudEvents 1.0.2 and its Kafka protocol binding, sections 3.1 to 3.3.
"""

from collections.abc import Iterable
from datetime import datetime

from genrestream.schemas.headers import CLOUD_EVENTS_VERSION, CONTENT_TYPE

ID = "ce_id"
CONTENT_TYPE_HEADER = "content-type"
STRUCTURED_MODE = b"application/cloudevents"
SOURCE = b"/genrestream"
MAX_EVENT_ID_CHARS = 200

Headers = list[tuple[str, bytes]]


def event_headers(event_type: str, event_id: str, at: datetime, *, has_data: bool = True) -> Headers:
    """The headers of a record; a tombstone has no data and so no content type."""
    headers = [
        ("ce_specversion", CLOUD_EVENTS_VERSION),
        (ID, event_id.encode()),
        ("ce_source", SOURCE),
        ("ce_type", event_type.encode()),
        ("ce_time", at.isoformat().encode()),
    ]
    return [*headers, (CONTENT_TYPE_HEADER, CONTENT_TYPE)] if has_data else headers


def event_id_of(headers: Iterable[tuple[str, bytes | None]]) -> str | None:
    """The `ce_id` of a message that was read, cut to `MAX_EVENT_ID_CHARS`, or None."""
    for name, value in headers:
        if name == ID and value:
            return value[: 4 * MAX_EVENT_ID_CHARS].decode("utf-8", "replace")[:MAX_EVENT_ID_CHARS]
    return None


def is_structured(headers: Iterable[tuple[str, bytes | None]]) -> bool:
    """Whether the value is an envelope around the item instead of the item."""
    return any(
        name == CONTENT_TYPE_HEADER and value is not None and value.lower().startswith(STRUCTURED_MODE)
        for name, value in headers
    )
