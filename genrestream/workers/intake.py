"""From a raw Kafka message to an item, a removal, or the reason why it is neither.

Pure: the same message always gives the same answer. pydantic parses the JSON itself: as fast as orjson and
then pydantic (3.1 against 3.2 us for a podcast of 570 bytes), and it refuses nesting deeper than 200 levels,
integers of more than 4,300 digits, lone surrogates and broken UTF-8 as a plain error.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from genrestream.schemas.dead_letters import DeadLetterCode
from genrestream.schemas.headers import ALL_SCORES, FIRST_OFFSET, FORCE, SCANNED_TO, offset_header
from genrestream.schemas.items import SCHEMA_VERSION, Item, ItemId, Kind, item_model
from genrestream.schemas.labels import SourcePosition
from genrestream.schemas.topics import KIND_OF_TOPIC, MAX_ITEM_BYTES
from genrestream.workers.cloud_events import event_id_of, is_structured
from genrestream.workers.errors import Rejected

MAX_ERRORS_TOLD = 3
MAX_ECHO_CHARS = 60
MAX_REPLAY_SCAN = 1_000_000
"""Messages that a worker reads back for one replay: about a minute. `dead-letters replay` leaves it few."""

_ITEM_ID: TypeAdapter[str] = TypeAdapter(ItemId)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as Kafka gave it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp_ms: int = -1
    """Kafka's time stamp, milliseconds since 1970; -1 when there is none."""
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When the worker read it."""


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replayed message says of itself: which version it is, and where to look for newer ones."""

    first_offset: int
    scan_from: int
    """The messages from here to the replay itself are still to be looked at."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """An item to be labelled."""

    item: Item
    position: SourcePosition
    item_offset: int
    """The offset that orders versions of the item: its own, or the first one of a replayed item."""
    arrived_at: datetime
    all_scores: bool
    replay: Replay | None = None
    force: bool = False
    """Label it anew, although its earlier labels may still be right."""


@dataclass(frozen=True, slots=True)
class Removal:
    """An item whose labels are to go."""

    kind: Kind
    item_id: str
    item_offset: int
    replay: Replay | None = None


def take_in(message: Incoming, max_item_bytes: int = MAX_ITEM_BYTES) -> Arrived | Removal:
    """The item or the removal that the message holds.

    Raises:
        Rejected: the message is neither; dead-letter it.
    """
    kind = KIND_OF_TOPIC.get(message.topic)
    if kind is None:
        raise Rejected(DeadLetterCode.WRONG_TOPIC, f"{message.topic} is no topic of catalogue items")
    replay = _replay(message)
    item_offset = message.offset if replay is None else replay.first_offset
    if message.value is None:
        return Removal(kind, _removed_id(message.key), item_offset, replay)
    if len(message.value) > max_item_bytes:
        raise Rejected(
            DeadLetterCode.OVERSIZED_MESSAGE,
            f"the value has {len(message.value)} bytes, at most {max_item_bytes} are taken",
        )
    if is_structured(message.headers):
        text = "content-type: CloudEvents in structured mode are not read; send the item itself as the value"
        raise Rejected(DeadLetterCode.INVALID_ITEM, text)
    item = _item(message.value, kind)
    if message.key != item.id.encode():
        raise Rejected(
            DeadLetterCode.KEY_MISMATCH, f"the key is {_shown(message.key)}, the id {_shown(item.id)}"
        )
    return Arrived(
        item,
        SourcePosition(topic=message.topic, partition=message.partition, offset=message.offset),
        item_offset,
        _arrived_at(message),
        all_scores=_asks_for(message, ALL_SCORES),
        replay=replay,
        force=_asks_for(message, FORCE),
    )


def _item(value: bytes, kind: Kind) -> Item:
    try:
        return item_model(kind).model_validate_json(value)
    except ValidationError as invalid:
        raise _rejection(invalid.errors(include_url=False, include_context=False), kind) from None


def _rejection(errors: list[ErrorDetails], kind: Kind) -> Rejected:
    """The code that tells most: what a newer schema looks like, no other error can say."""
    by_field = {error["loc"]: error for error in errors}
    if whole := by_field.get(()):
        return Rejected(DeadLetterCode.MALFORMED_JSON, _readable([whole]))
    version = by_field.get(("schema_version",))
    if version and version["type"] == "less_than_equal":
        text = f"schema_version: newer than {SCHEMA_VERSION}, the newest that this worker knows"
        return Rejected(DeadLetterCode.UNSUPPORTED_SCHEMA_VERSION, text)
    if wrong := by_field.get(("kind",)):
        given = wrong["input"]
        if isinstance(given, str) and given in tuple(Kind):
            return Rejected(DeadLetterCode.WRONG_TOPIC, f"kind: this topic takes {kind}, not {given}")
        return Rejected(DeadLetterCode.UNKNOWN_KIND, f"kind: {_shown(given)} is none of {', '.join(Kind)}")
    return Rejected(DeadLetterCode.INVALID_ITEM, _readable(errors))


def _readable(errors: list[ErrorDetails]) -> str:
    """One line that names fields and faults; pydantic's messages hold nothing of the input."""
    told = [
        f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}".removeprefix(": ")
        for error in errors[:MAX_ERRORS_TOLD]
    ]
    more = len(errors) - len(told)
    return "; ".join([*told, f"and {more} more"] if more else told)


def _shown(value: Any) -> str:
    """A foreign value in a message: escaped, on one line, and short."""
    if value is None:
        return "absent"
    if isinstance(value, bytes):
        value = value[: 4 * MAX_ECHO_CHARS].decode("utf-8", "replace")
    if not isinstance(value, str):
        return f"a {type(value).__name__}"
    short = value if len(value) <= MAX_ECHO_CHARS else value[:MAX_ECHO_CHARS] + "..."
    return ascii(short)


def _removed_id(key: bytes | None) -> str:
    if key is None:
        raise Rejected(DeadLetterCode.KEY_MISMATCH, "a null value without a key removes nothing")
    try:
        return _ITEM_ID.validate_python(key.decode())
    except (UnicodeDecodeError, ValidationError):
        raise Rejected(DeadLetterCode.KEY_MISMATCH, f"the key {_shown(key)} is no item id") from None


def place_of(message: Incoming) -> str:
    """Where the message is, and the producer's own name of it where it has one; for logs."""
    event_id = event_id_of(message.headers)
    named = "" if event_id is None else f" (ce_id {_shown(event_id)})"
    return f"{message.topic}/{message.partition}@{message.offset}{named}"


def is_replay(message: Incoming) -> bool:
    """Whether the message was published again; whatever becomes of it, it came in before."""
    return any(name == FIRST_OFFSET for name, _ in message.headers)


def _replay(message: Incoming) -> Replay | None:
    """What a replay says of itself. A first offset beyond its own would beat all versions to come."""
    first = _earlier_offset(message, FIRST_OFFSET)
    if first is None:
        return None
    scanned_to = _earlier_offset(message, SCANNED_TO)
    scan_from = max(first + 1, scanned_to or 0)
    if message.offset - scan_from > MAX_REPLAY_SCAN:
        text = (
            f"{message.offset - scan_from} messages since are more than a worker looks at for newer versions"
        )
        raise Rejected(
            DeadLetterCode.INVALID_ITEM, f"{FIRST_OFFSET}: {text}; use `genrestream dead-letters replay`"
        )
    return Replay(first, scan_from)


def _earlier_offset(message: Incoming, header: str) -> int | None:
    try:
        return offset_header(message.headers, header, message.offset)
    except ValueError:
        found = next(value for name, value in message.headers if name == header)
        text = f"{header}: {_shown(found)} is no earlier offset than the message's, {message.offset}"
        raise Rejected(DeadLetterCode.INVALID_ITEM, text) from None


def _arrived_at(message: Incoming) -> datetime:
    """Kafka's time stamp, unless it is absent, out of range or later than the reading."""
    if message.timestamp_ms < 0:
        return message.received_at
    try:
        stamped = datetime.fromtimestamp(message.timestamp_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return message.received_at
    return min(stamped, message.received_at)


def _asks_for(message: Incoming, header: str) -> bool:
    return any(name == header and value != b"0" for name, value in message.headers)
