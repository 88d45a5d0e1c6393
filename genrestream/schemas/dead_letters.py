"""Dead letters: items that cannot be labelled, with the reason, untouched and replayable.

The Kafka value and key are the original bytes; the original headers are kept, and what is known
about the failure is added as headers (`dead-letter-*`), so that nothing has to be re-encoded.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Self

from genrestream.schemas.headers import version_offset

Headers = list[tuple[str, bytes]]

PREFIX = "dead-letter-"
_DESCRIBED = ("code", "message", "topic", "partition", "offset", "attempts", "at")
MAX_MESSAGE_CHARS = 1000


class DeadLetterCode(StrEnum):
    """Why an item could not be labelled; a closed list, also a metric's label.

    Each member's docstring says what to do about it.
    """

    MALFORMED_JSON = "malformed_json"
    """The value is not one JSON object in UTF-8. Mend the producer, publish again."""
    UNSUPPORTED_SCHEMA_VERSION = "unsupported_schema_version"
    """The item's `schema_version` is newer than the worker's. Upgrade the workers, then replay."""
    UNKNOWN_KIND = "unknown_kind"
    """`kind` is none of event, podcast, track. Mend the producer."""
    WRONG_TOPIC = "wrong_topic"
    """`kind` does not belong to the topic. Publish to the kind's own topic."""
    INVALID_ITEM = "invalid_item"
    """A field breaks the item's schema; the message names it. Mend the producer."""
    KEY_MISMATCH = "key_mismatch"
    """The Kafka key is not the item's id, so its versions would not stay in order. Mend the producer."""
    OVERSIZED_MESSAGE = "oversized_message"
    """The message is larger than the worker accepts. Send media as references instead of inline."""
    NO_CONTENT = "no_content"
    """The item has neither text nor media that a live release can use. Enrich it at the source."""
    MEDIA_NOT_FOUND = "media_not_found"
    """Nothing but media, and the server says they are not there. Replay once they are, or scrape again."""
    MEDIA_FORBIDDEN = "media_forbidden"
    """Nothing but media, and their address is not allowed. Check the media settings of the workers."""
    MEDIA_UNREACHABLE = "media_unreachable"
    """Nothing but media, and the server did not deliver. Replay when it is back."""
    MEDIA_TIMEOUT = "media_timeout"
    """Nothing but media, and fetching or decoding took too long. Replay, or raise the limit."""
    MEDIA_TOO_LARGE = "media_too_large"
    """Nothing but media, and they exceed a limit on bytes, pixels or seconds. Publish smaller ones."""
    MEDIA_UNREADABLE = "media_unreadable"
    """Nothing but media, and they are empty, truncated, mislabelled or of no known format. Mend them, then
    replay."""
    MEDIA_CRASHED = "media_crashed"
    """Nothing but media, and the decoder died on them. Keep the payload: it is a bug report."""
    INFERENCE_REJECTED = "inference_rejected"
    """Triton refuses the tensors of this item for good. Release and features disagree; keep the payload."""
    INTERNAL_ERROR = "internal_error"
    """A fault of ours, with the exception's type in the message. Report it, then replay."""


SAME_AGAIN = frozenset(
    {
        DeadLetterCode.MALFORMED_JSON,
        DeadLetterCode.UNKNOWN_KIND,
        DeadLetterCode.WRONG_TOPIC,
        DeadLetterCode.INVALID_ITEM,
        DeadLetterCode.KEY_MISMATCH,
        DeadLetterCode.OVERSIZED_MESSAGE,
    }
)
"""Codes that rest on the bytes alone: a replay ends the same, unless the workers are changed."""


class Place(NamedTuple):
    """Where a message stands, or stood, in an input topic; the name of a dead letter."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}@{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The place that `str` gave this text.

        Raises:
            ValueError: it is none.
        """
        found = re.fullmatch(r"([A-Za-z0-9._-]{1,249})/([0-9]{1,9})@([0-9]{1,18})", text)
        if found is None:
            raise ValueError("a place is TOPIC/PARTITION@OFFSET, as in catalog.events/3@17")
        return cls(found[1], int(found[2]), int(found[3]))


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One message of `catalog.dead-letters`."""

    code: DeadLetterCode
    message: str
    topic: str
    partition: int
    offset: int
    attempts: int
    at: datetime
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    """The original headers, without the `dead-letter-*` ones."""

    @property
    def place(self) -> Place:
        """Where the item stood when it became this letter."""
        return Place(self.topic, self.partition, self.offset)

    @property
    def first_offset(self) -> int:
        """The offset that orders the item's versions: its first one, also where this was a replay."""
        return version_offset(self.headers, self.offset)

    def to_headers(self) -> Headers:
        """The original headers and those that describe the failure."""
        message = self.message[:MAX_MESSAGE_CHARS].encode("utf-8", "replace")
        described = {
            "code": self.code.encode(),
            "message": message,
            "topic": self.topic.encode(),
            "partition": b"%d" % self.partition,
            "offset": b"%d" % self.offset,
            "attempts": b"%d" % self.attempts,
            "at": self.at.isoformat().encode(),
        }
        return [*self.headers, *((PREFIX + name, value) for name, value in described.items())]

    @classmethod
    def from_message(cls, key: bytes | None, value: bytes | None, headers: Headers) -> "DeadLetter":
        """Read a message of the dead-letter topic.

        Raises:
            ValueError: a header that describes the failure is missing or has no valid value.
        """
        # An item may have come with headers of such names: the last of a name is the one that was added here.
        last: dict[str, bytes | None] = dict(headers)
        own: dict[str, str] = {}
        for name in _DESCRIBED:
            data = last.get(PREFIX + name)
            if data is None:
                raise ValueError(f"no header {PREFIX}{name}")
            own[name] = data.decode()
        return cls(
            code=DeadLetterCode(own["code"]),
            message=own["message"],
            topic=own["topic"],
            partition=int(own["partition"]),
            offset=int(own["offset"]),
            attempts=int(own["attempts"]),
            at=datetime.fromisoformat(own["at"]),
            key=key,
            value=value,
            headers=tuple((name, data) for name, data in headers if not name.startswith(PREFIX)),
        )
