"""Releases: which version of which head is live for a kind and task, and with which encoders.

`encoder.json` and `release.json` lie beside each version's graph in the model repository; a release is
announced on `catalog.releases`, and the announcement's offset is its sequence number.
"""

from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from genrestream.schemas.features import AudioFeatures, FeatureSpec, ImageFeatures, TextFeatures
from genrestream.schemas.items import SCHEMA_VERSION, Kind, Modality

NAME = r"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"
"""Names of models and tasks: they become folders, Kafka keys and metric labels."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class EmbeddingView(_Record):
    """Some of an embedding's dimensions, which heads learn from by themselves."""

    name: str = Field(pattern=r"^[a-z]{1,32}$")
    start: int = Field(ge=0)
    stop: int = Field(ge=1, description="The first dimension that is not in it.")


class EncoderRecord(_Record):
    """`encoder.json`: what an encoder is, beside its graph."""

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1)
    model: str = Field(pattern=NAME, description="Triton's model name, such as image-starter.")
    version: int = Field(ge=1)
    modality: Modality
    features: ImageFeatures | TextFeatures | AudioFeatures = Field(discriminator="modality")
    embedding_dim: int = Field(ge=1)
    # A record without any is as it was before there was such a thing.
    views: tuple[EmbeddingView, ...] = Field(
        default=(),
        exclude_if=lambda views: not views,
        description="Heads have a branch for each; without any, one for the whole embedding.",
    )
    source: str = Field(description="Where the weights come from.")
    licence: str
    checksums: dict[str, str] = Field(description="SHA-256 of each file of the version's folder.")
    created_at: datetime

    @model_validator(mode="after")
    def _views_are_inside(self) -> Self:
        for view in self.views:
            if not view.start < view.stop <= self.embedding_dim:
                raise ValueError(f"the view {view.name} lies outside the embedding's {self.embedding_dim}")
        if len({view.name for view in self.views}) != len(self.views):
            raise ValueError("a view's name stands twice")
        return self


class EncoderReference(_Record):
    """An encoder that a head was trained with; workers pin this very version."""

    model: str = Field(pattern=NAME)
    version: int = Field(ge=1)
    embedding_dim: int = Field(ge=1)


class GateFigure(StrEnum):
    """What a gate compares."""

    MEAN_AP = "mean_ap"
    MICRO_F1 = "micro_f1"


class Wanted(StrEnum):
    """What a gate asks of the head."""

    BETTER = "better"
    """It is better than its rival in nine of ten bootstrap draws."""
    NOT_WORSE = "not_worse"
    """The 95 % interval of its lead does not lie below 0."""


class Gate(_Record):
    """What a head was measured against before its release, on the same test items."""

    rival: str = Field(
        description="A baseline, the version that was live (its model and version), or one of several "
        "modalities or branches, alone on the items that have them all."
    )
    figure: GateFigure
    wanted: Wanted = Wanted.BETTER
    items: int = Field(ge=0, description="Test items that neither was trained on.")
    head: float
    other: float = Field(description="The rival's figure.")
    wins: float = Field(ge=0, le=1, description="Share of bootstrap draws in which the head is better.")
    lead: tuple[float, float] | None = Field(
        default=None, description="The 95 % interval of the head's figure less the rival's."
    )
    passed: bool


class Release(_Record):
    """`release.json`: a head's version and all that is needed to serve it."""

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1)
    kind: Kind
    task: str = Field(pattern=NAME)
    model: str = Field(pattern=NAME)
    version: int = Field(ge=1)
    labels: tuple[str, ...] = Field(min_length=1)
    others: str | None = Field(
        default=None,
        exclude_if=lambda label: label is None,
        description="Which of the labels stands for all that are not among them; none in most heads.",
    )
    thresholds: tuple[float, ...] = Field(description="The confidence from which each label is given.")
    taxonomy: str
    taxonomy_version: int = Field(ge=1)
    features: FeatureSpec
    feature_hash: str
    encoders: dict[Modality, EncoderReference]
    modalities: tuple[Modality, ...] = Field(
        min_length=1, description="What the head listens to; text may come from hashed terms alone."
    )
    metrics: dict[str, float] = Field(default_factory=dict)
    trained_on: dict[str, int] = Field(default_factory=dict, description="Items a set.")
    gates: tuple[Gate, ...] = Field(default=(), description="What it was measured against.")
    forced: tuple[str, ...] = Field(
        default=(), description="Why it would not have gone live, had it not been forced; one line a reason."
    )
    checksums: dict[str, str] = Field(description="SHA-256 of each file of the version's folder.")
    created_at: datetime

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.labels) != len(self.thresholds):
            raise ValueError(f"{len(self.labels)} labels but {len(self.thresholds)} thresholds")
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("a label stands twice")
        if self.others is not None and self.others not in self.labels:
            raise ValueError(f"others is {self.others!r}, which is none of the labels")
        if self.feature_hash != self.features.spec_hash:
            raise ValueError("feature_hash is not the hash of features")
        if unused := set(self.encoders) - set(self.modalities):
            raise ValueError(f"encoders for modalities the head does not use: {sorted(unused)}")
        return self


class ReleaseAction(StrEnum):
    """Why an announcement was made."""

    RELEASE = "release"
    ROLLBACK = "rollback"


class ReleaseAnnouncement(_Record):
    """One message of `catalog.releases`, key `kind:task`; the newest one is live."""

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1)
    action: ReleaseAction
    release: Release
    announced_at: datetime


def release_key(kind: Kind, task: str) -> str:
    """The Kafka key of an announcement."""
    return f"{kind}:{task}"
