"""JSON Schemas of the Kafka headers. A header's value is bytes; the schemas describe it as UTF-8 text."""

from typing import Any

from genrestream.schemas.dead_letters import MAX_MESSAGE_CHARS, PREFIX, DeadLetterCode
from genrestream.schemas.headers import (
    ALL_SCORES,
    ATTEMPTS,
    CLOUD_EVENTS_VERSION,
    CONTENT_TYPE,
    FIRST_OFFSET,
    FORCE,
    REMOVAL_EVENT_TYPE,
    REVISION,
    SCANNED_TO,
)
from genrestream.schemas.member_docs import described

_WHOLE_NUMBER = {"type": "string", "pattern": "^[0-9]{1,19}$"}


def item_headers_schema() -> dict[str, Any]:
    """What a producer may set on an item; all of it is optional."""
    return {
        "type": "object",
        "description": "All optional.",
        "properties": {
            "ce_id": {"type": "string", "description": "CloudEvents id; kept for the logs."},
            "content-type": {
                "type": "string",
                "description": "Anything but CloudEvents' structured mode: the value is the item itself.",
                "not": {"pattern": "^application/cloudevents"},
            },
            ALL_SCORES: {
                "type": "string",
                "description": "Any value but `0`: the label record has the confidence of every label.",
            },
            FORCE: {
                "type": "string",
                "description": "Any value but `0`: the item is labelled anew, also where its content and the "
                "live releases are those of its earlier labels.",
            },
            FIRST_OFFSET: {
                "type": "string",
                "pattern": "^[0-9]{1,18}$",
                "description": "On a replayed item: the offset that it had first, so that it never "
                "beats a newer version. Set by the replay, not by producers.",
            },
            SCANNED_TO: {
                "type": "string",
                "pattern": "^[0-9]{1,18}$",
                "description": "On a replayed item: below this offset the replay found no newer "
                "version. Set by the replay, not by producers.",
            },
            ATTEMPTS: {
                "type": "string",
                "pattern": "^[0-9]{1,6}$",
                "description": "On a replayed item: how often it became a dead letter so far. Set by the "
                "replay, not by producers.",
            },
        },
    }


def cloud_event_headers_schema(event_type: str, *, has_data: bool = True) -> dict[str, Any]:
    """CloudEvents 1.0 in Kafka's binary mode, as Genrestream sets them; a removal has no data."""
    properties: dict[str, Any] = {
        "ce_specversion": {"const": CLOUD_EVENTS_VERSION.decode()},
        "ce_id": {
            "type": "string",
            "description": "Made of what the record is about and its revision: a duplicate has the same id.",
        },
        "ce_source": {"type": "string", "format": "uri-reference"},
        "ce_type": {"const": event_type},
        "ce_time": {"type": "string", "format": "date-time"},
    }
    if has_data:
        properties["content-type"] = {"const": CONTENT_TYPE.decode()}
    return {"type": "object", "properties": properties, "required": list(properties)}


def removal_headers_schema() -> dict[str, Any]:
    """The headers of a tombstone on the label topic: CloudEvents, and the revision, as there is no value."""
    schema = cloud_event_headers_schema(REMOVAL_EVENT_TYPE, has_data=False)
    schema["properties"][REVISION] = {
        "type": "string",
        "pattern": "^\\[[0-9]+,[0-9]+\\]$",
        "description": "The removal's revision, to be compared with those of label records.",
    }
    schema["required"].append(REVISION)
    return schema


def dead_letter_headers_schema() -> dict[str, Any]:
    """The headers that say why an item could not be labelled; the item's own headers stand beside them."""
    properties: dict[str, Any] = {
        "code": described(DeadLetterCode),
        "message": {"type": "string", "maxLength": MAX_MESSAGE_CHARS, "description": "For people, one line."},
        "topic": {"type": "string", "description": "Where the item came in."},
        "partition": _WHOLE_NUMBER,
        "offset": _WHOLE_NUMBER,
        "attempts": _WHOLE_NUMBER,
        "at": {"type": "string", "format": "date-time", "description": "When it was given up."},
    }
    properties = {PREFIX + name: schema for name, schema in properties.items()}
    return {
        "title": "DeadLetterHeaders",
        "description": "Why an item could not be labelled; key, value and other headers are the item's.",
        "type": "object",
        "properties": properties,
        "required": list(properties),
    }
