"""One dead letter in full: for people as lines that a terminal can show, for programs as JSON.

Payload, key and headers came from outside: nothing of them reaches a terminal as a control character.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

from genrestream.client.letters import Filed, State
from genrestream.client.show import local_time, printable
from genrestream.schemas import DeadLetter
from genrestream.schemas.dead_letter_docs import meaning_and_remedy

MAX_PAYLOAD_LINES = 200
MAX_LINE_CHARS = 500
MAX_HEX_BYTES = 1024
MAX_HEADERS = 100
HEX_COLUMNS = 16


def letter_lines(filed: Filed, letter: DeadLetter, state: State) -> Iterator[str]:
    """All of one letter: reason, remedy, headers, payload."""
    meaning, remedy = meaning_and_remedy(letter.code)
    facts = {
        "state": state,
        "code": letter.code,
        "message": printable(letter.message, 1000),
        "meaning": meaning,
        "what to do": remedy,
        "at": local_time(letter.at),
        "attempts": str(letter.attempts),
        "first offset": str(filed.first_offset),
        "source": printable(filed.source, MAX_LINE_CHARS),
        "key": _key(letter.key),
    }
    yield str(letter.place)
    yield from (f"  {name:<13} {value}" for name, value in facts.items())
    yield f"  {'headers':<13} {len(letter.headers) or 'none'}"
    for name, value in letter.headers[:MAX_HEADERS]:
        yield f"    {printable(name, 100)}: {printable(value.decode('utf-8', 'backslashreplace'), 300)}"
    if len(letter.headers) > MAX_HEADERS:
        yield f"    … {len(letter.headers) - MAX_HEADERS} more headers"
    yield from _payload_lines(letter.value)


def _key(key: bytes | None) -> str:
    return "none" if key is None else printable(key.decode("utf-8", "backslashreplace"), MAX_LINE_CHARS)


def _payload_lines(value: bytes | None) -> Iterator[str]:
    if value is None:
        yield f"  {'payload':<13} none: it removes the item"
        return
    pretty = _pretty_json(value)
    yield f"  {'payload':<13} {len(value)} bytes{', JSON' if pretty is not None else ''}"
    lines = pretty if pretty is not None else _hex_dump(value)
    for line in lines[:MAX_PAYLOAD_LINES]:
        yield f"    {printable(line, MAX_LINE_CHARS)}"
    if len(lines) > MAX_PAYLOAD_LINES:
        yield f"    … {len(lines) - MAX_PAYLOAD_LINES} more lines: --raw writes the bytes as they are"
    elif pretty is None and len(value) > MAX_HEX_BYTES:
        yield f"    … {len(value) - MAX_HEX_BYTES} more bytes: --raw writes them as they are"


def _pretty_json(value: bytes) -> list[str] | None:
    """The value as indented JSON; None where it is none, or nested deeper than Python reads."""
    try:
        return json.dumps(json.loads(value.decode()), indent=2, ensure_ascii=False).split("\n")
    except (ValueError, RecursionError):
        return None


def _hex_dump(value: bytes) -> list[str]:
    """Offset, bytes and ASCII, sixteen a line."""
    lines = []
    for start in range(0, min(len(value), MAX_HEX_BYTES), HEX_COLUMNS):
        part = value[start : min(start + HEX_COLUMNS, MAX_HEX_BYTES)]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{start:08x}  {part.hex(' '):<{3 * HEX_COLUMNS}} {text}")
    return lines


def filed_fields(filed: Filed, state: State) -> dict[str, Any]:
    """A letter for programs; the value's bytes stay in the topic, from which they can be replayed."""
    return {
        "state": state,
        "place": str(filed.place),
        "code": filed.code,
        "message": filed.message,
        "topic": filed.place.topic,
        "partition": filed.place.partition,
        "offset": filed.place.offset,
        "first_offset": filed.first_offset,
        "attempts": filed.attempts,
        "at": filed.at.isoformat(),
        "source": filed.source,
        "key": None if filed.key is None else filed.key.decode("utf-8", "replace"),
        "value_bytes": filed.value_bytes,
    }


def letter_fields(filed: Filed, letter: DeadLetter, state: State) -> dict[str, Any]:
    """All of one letter for programs; bytes as text where they are UTF-8, else as base64."""
    meaning, remedy = meaning_and_remedy(letter.code)
    return {
        **filed_fields(filed, state),
        "meaning": meaning,
        "remedy": remedy,
        "headers": [{"name": name, **_encoded(value)} for name, value in letter.headers],
        "payload": None if letter.value is None else _encoded(letter.value),
    }


def _encoded(value: bytes) -> dict[str, str]:
    try:
        return {"text": value.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(value).decode()}


def json_line(fields: dict[str, Any]) -> str:
    """One line of ASCII, without a control character: a terminal may show it."""
    return json.dumps(fields, ensure_ascii=True).replace("\x7f", "\\u007f")
