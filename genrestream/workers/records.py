"""What the models said about an item, as the label records that leave the worker."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from genrestream.schemas import (
    DeadLetterCode,
    Item,
    Kind,
    LabelRecord,
    MissingModality,
    MissingReason,
    Modality,
    Release,
    ReleaseReference,
    Revision,
    SourcePosition,
)
from genrestream.schemas.items import MEDIA_FIELDS
from genrestream.workers.decide import decide
from genrestream.workers.errors import Rejected
from genrestream.workers.features.content import Missing
from genrestream.workers.live import LiveRelease
from genrestream.workers.score import Scored

NOT_IN_MODEL = Missing(MissingReason.NOT_IN_MODEL, "the live release does not use it")
MAX_DETAIL_CHARS = 300
MAX_PICTURE_TEXT_CHARS = 300


@dataclass(frozen=True, slots=True)
class Origin:
    """Where and when an item came in; position and offset are None outside Kafka."""

    arrived_at: datetime
    position: SourcePosition | None = None
    item_offset: int | None = None
    all_scores: bool = False


def label_records(
    item: Item,
    origin: Origin,
    scored: Scored,
    missing: Mapping[Modality, Missing],
    content_hash: str,
    labelled_at: datetime,
    read_text: str | None = None,
) -> list[LabelRecord]:
    """A record a task that has labels; empty when no head listens to anything that the item has.

    `read_text` was read from the picture and taken for the item's text.
    """
    return [
        _record(item, origin, running, scored, missing, content_hash, labelled_at, read_text)
        for running in scored.live.releases
        if running.release.task in scored.confidences
    ]


def _record(
    item: Item,
    origin: Origin,
    running: LiveRelease,
    scored: Scored,
    missing: Mapping[Modality, Missing],
    content_hash: str,
    labelled_at: datetime,
    read_text: str | None,
) -> LabelRecord:
    release = running.release
    verdict = decide(scored.confidences[release.task], release, all_scores=origin.all_scores)
    used = scored.used[release.task]
    revision = None
    if origin.item_offset is not None:
        revision = Revision(origin.item_offset, running.sequence)
    return LabelRecord(
        kind=item.kind,
        id=item.id,
        task=release.task,
        labels=verdict.labels,
        decision=verdict.decision,
        scores=verdict.scores,
        release=release_reference(release),
        modalities_used=used,
        modalities_missing=tuple(
            MissingModality(
                modality=modality, reason=why.reason, detail=why.detail[:MAX_DETAIL_CHARS] or None
            )
            for modality, why in _why_missing(item, running, used, missing).items()
        ),
        picture_text=read_text[:MAX_PICTURE_TEXT_CHARS] if read_text and Modality.TEXT in used else None,
        content_hash=content_hash,
        source=origin.position,
        revision=revision,
        arrived_at=origin.arrived_at,
        labelled_at=labelled_at,
    )


def release_reference(release: Release) -> ReleaseReference:
    """How a label record names the release that made it."""
    return ReleaseReference(
        model=release.model,
        version=release.version,
        taxonomy=release.taxonomy,
        taxonomy_version=release.taxonomy_version,
    )


def _why_missing(
    item: Item, running: LiveRelease, used: tuple[Modality, ...], missing: Mapping[Modality, Missing]
) -> dict[Modality, Missing]:
    """Each modality that the kind can have and the head did not hear, with the reason."""
    absent = Missing(MissingReason.ABSENT, "")
    return {
        modality: (
            missing.get(modality, absent)
            if modality in running.release.modalities
            else _unheard(missing, modality)
        )
        for modality in (Modality.TEXT, *MEDIA_FIELDS[item.kind])
        if modality not in used
    }


def _unheard(missing: Mapping[Modality, Missing], modality: Modality) -> Missing:
    """Absent stays absent; what is there without being listened to is named so."""
    known = missing.get(modality)
    return known if known is not None and known.reason is MissingReason.ABSENT else NOT_IN_MODEL


def nothing_left(kind: Kind, missing: Mapping[Modality, Missing]) -> Rejected:
    """The dead letter of an item that no head can label: named for its first broken medium, if any."""
    reasons = {
        modality: missing.get(modality, Missing(MissingReason.ABSENT, ""))
        for modality in (*MEDIA_FIELDS[kind], Modality.TEXT)
    }
    told = "; ".join(
        f"{modality}: {why.reason}" + (f" ({why.detail})" if why.detail else "")
        for modality, why in reasons.items()
    )
    silent = (MissingReason.ABSENT, MissingReason.NOT_IN_MODEL)
    broken = next((why.reason for why in reasons.values() if why.reason not in silent), None)
    code = DeadLetterCode.NO_CONTENT if broken is None else DeadLetterCode(f"media_{broken}")
    return Rejected(code, f"nothing left to label it from: {told}")
