"""The AsyncAPI 3.0 document: topics, who sends and receives what, keys, headers and payloads.

Specification: AsyncAPI 3.0.0, with the Kafka bindings 0.5.0.
"""

from typing import Any

import yaml
from pydantic import BaseModel

from genrestream.schemas import examples
from genrestream.schemas.header_schemas import (
    cloud_event_headers_schema,
    item_headers_schema,
    removal_headers_schema,
)
from genrestream.schemas.headers import LABEL_EVENT_TYPE, RELEASE_EVENT_TYPE
from genrestream.schemas.items import MAX_ID_CHARS, SCHEMA_VERSION, Kind
from genrestream.schemas.topics import (
    DEAD_LETTER_REPLAYS,
    DEAD_LETTERS,
    INPUT_TOPICS,
    LABELS,
    RELEASES,
    Topic,
)

KAFKA_BINDING = "0.5.0"

_DESCRIPTION = """\
Ingest services publish items; Genrestream labels them; recommenders read labels; whoever trains announces
releases. Readers ignore fields that they do not know: they may be added at any time. What a published schema
promises beyond that is held by a test; a change that breaks it raises `schema_version`."""

_ITEM_EXAMPLES: dict[Kind, BaseModel] = {
    Kind.EVENT: examples.EVENT,
    Kind.PODCAST: examples.PODCAST,
    Kind.TRACK: examples.TRACK,
}


def asyncapi_yaml(generated: str, schema_files: dict[str, str]) -> str:
    """The document as YAML, `generated` in its first line.

    Args:
        generated: where the document comes from.
        schema_files: the file beside the document that holds each schema, by the schema's name.
    """
    text = yaml.dump(asyncapi(schema_files), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return f"# {generated}\n{text}"


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: lists indented, texts of several lines as blocks, nothing by alias."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def asyncapi(schema_files: dict[str, str]) -> dict[str, Any]:
    """The document; the payloads refer to `schema_files`."""
    messages = _messages(schema_files)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Genrestream",
            "version": f"{SCHEMA_VERSION}.0.0",
            "description": _DESCRIPTION,
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "The Kafka cluster that ingest, workers and recommenders share.",
                "variables": {
                    "bootstrap": {
                        "default": "127.0.0.1:9092",
                        "description": "The bootstrap address, as in KAFKA_BOOTSTRAP.",
                    }
                },
            }
        },
        "channels": {topic.name: _channel(topic, names) for topic, names in _CONTENT.items()},
        "operations": _operations(),
        "components": {"messages": messages, "schemas": {"itemHeaders": item_headers_schema()}},
    }


_CONTENT: dict[Topic, tuple[str, ...]] = {
    **{INPUT_TOPICS[kind]: (str(kind), "itemRemoval") for kind in Kind},
    LABELS: ("labels", "labelRemoval"),
    DEAD_LETTERS: ("deadLetter",),
    DEAD_LETTER_REPLAYS: ("deadLetterReplay",),
    RELEASES: ("announcement",),
}
"""The messages of each topic, by their names in the document."""


def _channel(topic: Topic, messages: tuple[str, ...]) -> dict[str, Any]:
    return {
        "address": topic.name,
        "description": topic.description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": ["compact" if topic.compacted else "delete"],
                    "retention.ms": topic.retention_ms,
                    "max.message.bytes": topic.max_message_bytes,
                    **topic.broker_config(),
                },
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }


def _operations() -> dict[str, Any]:
    receive = {
        f"receive{str(kind).capitalize()}s": _operation(
            "receive", INPUT_TOPICS[kind], f"Workers read new, changed and removed {kind}s."
        )
        for kind in Kind
    }
    return {
        **receive,
        "sendLabels": _operation("send", LABELS, "Workers write the labels of an item, or their removal."),
        "sendDeadLetter": _operation(
            "send", DEAD_LETTERS, "Workers set aside an item that they cannot label."
        ),
        "markReplay": _operation(
            "send", DEAD_LETTER_REPLAYS, "`genrestream dead-letters replay` marks what it has replayed."
        ),
        "announceRelease": _operation("send", RELEASES, "`genrestream release` and `rollback` announce."),
        "followReleases": _operation("receive", RELEASES, "Workers follow what is live."),
    }


def _operation(action: str, topic: Topic, summary: str) -> dict[str, Any]:
    channel = f"#/channels/{topic.name}"
    return {
        "action": action,
        "channel": {"$ref": channel},
        "summary": summary,
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in _CONTENT[topic]],
    }


def _messages(schema_files: dict[str, str]) -> dict[str, Any]:
    def refer(name: str) -> dict[str, str]:
        return {"$ref": f"./{schema_files[name]}"}

    item_headers = {"$ref": "#/components/schemas/itemHeaders"}
    item_key = {"type": "string", "minLength": 1, "maxLength": MAX_ID_CHARS, "description": "The item's id."}
    label_key = {"type": "string", "description": "`kind:id:task`; the id may hold colons."}
    items = {
        str(kind): _message(
            f"A new or changed {kind}",
            item_key,
            item_headers,
            refer(kind),
            _ITEM_EXAMPLES[kind],
        )
        for kind in Kind
    }
    return {
        **items,
        "itemRemoval": _message(
            "An item is gone; the key says which", item_key, item_headers, {"type": "null"}
        ),
        "labels": _message(
            "The labels of one item for one task",
            label_key,
            cloud_event_headers_schema(LABEL_EVENT_TYPE),
            refer("label-record"),
            examples.LABEL_RECORD,
        ),
        "labelRemoval": _message(
            "The item is gone, and so are its labels",
            label_key,
            removal_headers_schema(),
            {"type": "null"},
        ),
        "deadLetter": _message(
            "An item that cannot be labelled",
            {"description": "The item's key as it came."},
            refer("dead-letter-headers"),
            {"description": "The item's bytes as they came."},
        )
        | {"contentType": "application/octet-stream"},
        "deadLetterReplay": _message(
            "A dead letter was replayed",
            {"type": "string", "description": "The letter's place, TOPIC/PARTITION@OFFSET."},
            {"type": "object", "description": "None."},
            refer("dead-letter-replay"),
            examples.REPLAY,
        ),
        "announcement": _message(
            "A release goes live",
            {"type": "string", "description": "`kind:task`"},
            cloud_event_headers_schema(RELEASE_EVENT_TYPE),
            refer("release-announcement"),
            examples.ANNOUNCEMENT,
        ),
    }


def _message(
    title: str,
    key: dict[str, Any],
    headers: dict[str, Any],
    payload: dict[str, Any],
    example: BaseModel | None = None,
) -> dict[str, Any]:
    message: dict[str, Any] = {
        "title": title,
        "headers": headers,
        "payload": payload,
        "bindings": {"kafka": {"key": key, "bindingVersion": KAFKA_BINDING}},
    }
    if example is not None:
        message["examples"] = [{"payload": examples.as_json(example)}]
    return message
