"""Label records: what recommenders read from `catalog.labels` and Redis, one an item and task."""

from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from genrestream.schemas.items import SCHEMA_VERSION, Kind, Modality
from genrestream.schemas.revision import Revision


class Decision(StrEnum):
    """How sure the record is."""

    LABELLED = "labelled"
    """At least one label reached its threshold."""
    LOW_CONFIDENCE = "low_confidence"
    """No label reached its threshold; the best one is given with its honest confidence."""


class MissingReason(StrEnum):
    """Why a modality did not take part; a closed list, also a metric's label."""

    ABSENT = "absent"
    """The item has none."""
    NOT_IN_MODEL = "not_in_model"
    """The item has it, but the live release does not use it, so it was not fetched."""
    NOT_FOUND = "not_found"
    """The server or the file system says that it is not there (HTTP 404, 410)."""
    FORBIDDEN = "forbidden"
    """Outside the allowed root, an unknown scheme, a forbidden address, or HTTP 401, 403."""
    UNREACHABLE = "unreachable"
    """No connection, a broken transfer, or another HTTP error, after the retries."""
    TIMEOUT = "timeout"
    """The time limit for the fetch or for the feature passed."""
    TOO_LARGE = "too_large"
    """More bytes, pixels or seconds than allowed."""
    UNREADABLE = "unreadable"
    """Empty, truncated, mislabelled or not decodable."""
    CRASHED = "crashed"
    """The decoder died on it."""


class LabelConfidence(BaseModel):
    """A canonical label and the calibrated probability that it applies."""

    model_config = ConfigDict(frozen=True)

    label: str
    confidence: float = Field(ge=0, le=1)


class MissingModality(BaseModel):
    """A modality that the kind can have and the labels do not rest on."""

    model_config = ConfigDict(frozen=True)

    modality: Modality
    reason: MissingReason
    detail: str | None = Field(default=None, max_length=300, description="One sentence for people.")


class ReleaseReference(BaseModel):
    """The release that made the labels."""

    model_config = ConfigDict(frozen=True)

    model: str
    version: int = Field(ge=1)
    taxonomy: str
    taxonomy_version: int = Field(ge=1)


class SourcePosition(BaseModel):
    """Where in Kafka the item stood."""

    model_config = ConfigDict(frozen=True)

    topic: str
    partition: int = Field(ge=0)
    offset: int = Field(ge=0)


class LabelRecord(BaseModel):
    """The labels of one item for one task. `labels` is never empty."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1)
    kind: Kind
    id: str
    task: str
    labels: tuple[LabelConfidence, ...] = Field(min_length=1, description="In falling confidence.")
    decision: Decision
    scores: dict[str, float] | None = Field(
        default=None, description="Every label's confidence; only on request."
    )
    release: ReleaseReference
    modalities_used: tuple[Modality, ...] = Field(min_length=1)
    modalities_missing: tuple[MissingModality, ...] = ()
    picture_text: str | None = Field(
        default=None,
        max_length=300,
        exclude_if=lambda text: text is None,
        description="What was read from the picture and taken for the item's text, which has none; its "
        "beginning.",
    )
    content_hash: str = Field(
        description="SHA-256, hexadecimal, of what the item says: its texts and each medium's inline bytes "
        "or reference."
    )
    source: SourcePosition | None = Field(default=None, description="None when labelled outside Kafka.")
    revision: Revision | None = Field(
        default=None,
        description="[item offset, release sequence]: of two records about the same item and task, the one "
        "with the greater pair is newer. None when labelled outside Kafka.",
    )
    arrived_at: datetime = Field(description="When Kafka accepted the item (UTC).")
    labelled_at: datetime = Field(description="When the labels were decided (UTC).")


def label_key(kind: Kind, item_id: str, task: str) -> str:
    """The Kafka key of a label record. The id may hold colons; kind and task may not."""
    return f"{kind}:{item_id}:{task}"
