"""Kafka headers that are read and written besides the dead letters' own."""

import re
from collections.abc import Sequence

ALL_SCORES = "genrestream-all-scores"
"""On an item, any value but `0`: the label record carries every label's confidence in `scores`."""

FORCE = "genrestream-force"
"""On an item, any value but `0`: it is labelled anew, although its earlier labels may still be right."""

FIRST_OFFSET = "genrestream-first-offset"
"""On a replayed item: the offset that it had first, so that it never beats a newer version."""

SCANNED_TO = "genrestream-scanned-to"
"""On a replayed item: below this offset the replay found no newer version; workers look from there on."""

ATTEMPTS = "genrestream-attempts"
"""On a replayed item: how often it became a dead letter so far."""

REVISION = "genrestream-revision"
"""On a tombstone of `catalog.labels`: the removal's revision, `[item_offset,release_sequence]`."""

CONTENT_TYPE = b"application/json"

CLOUD_EVENTS_VERSION = b"1.0"
"""CloudEvents 1.0, Kafka protocol binding, binary mode: headers `ce_specversion`, `ce_id`, `ce_source`,
`ce_type`, `ce_time` and `content-type`."""

LABEL_EVENT_TYPE = "genrestream.labels.v1"
REMOVAL_EVENT_TYPE = "genrestream.removal.v1"
RELEASE_EVENT_TYPE = "genrestream.release.v1"

_OFFSET = re.compile(rb"[0-9]{1,18}")
_COUNT = re.compile(rb"[0-9]{1,6}")


def offset_header(headers: Sequence[tuple[str, bytes | None]], name: str, at_most: int) -> int | None:
    """The offset that a header holds, None where there is no such header.

    Raises:
        ValueError: what it holds is no offset, or one beyond `at_most`.
    """
    # Kafka's headers may be null.
    found = next((value or b"" for header, value in headers if header == name), None)
    if found is None:
        return None
    if not _OFFSET.fullmatch(found) or int(found) > at_most:
        raise ValueError(f"{name} is no offset up to {at_most}")
    return int(found)


def version_offset(headers: Sequence[tuple[str, bytes | None]], offset: int) -> int:
    """The offset that orders a message among its item's versions: the first one of a replay, else its own.

    A first offset that workers refuse counts as none.
    """
    try:
        first = offset_header(headers, FIRST_OFFSET, offset)
    except ValueError:
        return offset
    return offset if first is None else first


def earlier_attempts(headers: Sequence[tuple[str, bytes | None]]) -> int:
    """How often a message became a dead letter before it was replayed; what is no count is 0."""
    found = next((value or b"" for name, value in headers if name == ATTEMPTS), b"")
    return int(found) if _COUNT.fullmatch(found) else 0
