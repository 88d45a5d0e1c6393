"""Whether an item's earlier label records answer it again: same content, same releases, nothing left to try.

The earlier records may be stale: Redis follows the label topic by milliseconds, so that a newer version or a
removal may be missing there. That is harmless. What is compared is what the item says and what would label
it, and equal contents and releases give equal labels, whichever version they were made for. The records are
given the revision of the message that asked and are published when it is that message's turn: an item that is
labelled, removed and published again with the same content in one breath ends with the labels of its last
message, as it would if the models were asked anew; nothing carries the revision that the removal has beaten.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from genrestream.schemas import InlineMedia, Item, LabelRecord, MissingReason, Revision
from genrestream.schemas.items import MEDIA_FIELDS, SCHEMA_VERSION, TEXT_FIELDS
from genrestream.workers.live import LiveKind, LiveRelease
from genrestream.workers.records import Origin, release_reference

LASTING = frozenset({MissingReason.ABSENT, MissingReason.NOT_IN_MODEL})
"""Reasons that follow from the item and the release alone. All others may pass: a server comes back, a file
is put there or mended, a limit or an allowed root is changed. Publishing again asks for another try."""


def content_hash(item: Item) -> str:
    """SHA-256, hexadecimal, of what the item says: its texts and each medium's inline bytes or reference.

    Ids, times and the scraper's name are not in it. Every part is framed by its field, its form and its
    length, so that no two contents give the same byte string.
    """
    digest = hashlib.sha256(b"genrestream item 1\0")
    for field in (*TEXT_FIELDS[item.kind], *MEDIA_FIELDS[item.kind].values()):
        value = getattr(item, field)
        if value is None:
            continue
        if isinstance(value, str):
            form, data = b"t", value.encode("utf-8", "surrogatepass")
        elif isinstance(value, InlineMedia):
            form, data = b"b", value.data
        else:
            form, data = b"r", value.url.encode("utf-8", "surrogatepass")
        digest.update(b"%s\0%s%s" % (field.encode(), form, len(data).to_bytes(8, "big")))
        digest.update(data)
    return digest.hexdigest()


def answer_again(
    earlier: Sequence[LabelRecord],
    item: Item,
    origin: Origin,
    live: LiveKind,
    content: str,
    labelled_at: datetime,
) -> list[LabelRecord]:
    """The earlier records as the answer to this message, one a live task; empty if the work has to be done.

    `content` is the item's hash, `labelled_at` the time of this decision.
    """
    by_task = {record.task: record for record in earlier}
    answer = []
    for running in live.releases:
        record = by_task.get(running.release.task)
        if record is None or not _answers(record, item, origin, running, content):
            return []
        answer.append(_renewed(record, origin, running, labelled_at))
    return answer


def _answers(record: LabelRecord, item: Item, origin: Origin, running: LiveRelease, content: str) -> bool:
    return (
        record.schema_version == SCHEMA_VERSION
        and (record.kind, record.id, record.content_hash) == (item.kind, item.id, content)
        and record.release == release_reference(running.release)
        # Of the same announcement: a repository that was made anew begins again with version 1.
        and record.revision is not None
        and record.revision.release_sequence == running.sequence
        and all(missing.reason in LASTING for missing in record.modalities_missing)
        and (record.scores is not None or not origin.all_scores)
    )


def _renewed(record: LabelRecord, origin: Origin, running: LiveRelease, labelled_at: datetime) -> LabelRecord:
    revision = None
    if origin.item_offset is not None:
        revision = Revision(origin.item_offset, running.sequence)
    return record.model_copy(
        update={
            "scores": record.scores if origin.all_scores else None,
            "source": origin.position,
            "revision": revision,
            "arrived_at": origin.arrived_at,
            "labelled_at": labelled_at,
        }
    )
