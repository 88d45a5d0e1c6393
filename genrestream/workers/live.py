"""What is live for a kind: its releases, their encoders, and the features that all of them ask for.

The same function builds it for a worker, from announced releases, and for `classify`, from the model
repository alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from genrestream.schemas.features import (
    AudioFeatures,
    HashedTextFeatures,
    ImageFeatures,
    PictureTextFeatures,
    TextFeatures,
)
from genrestream.schemas.items import Kind, Modality
from genrestream.schemas.releases import EncoderRecord, EncoderReference, Release
from genrestream.workers.features.content import FeaturePlan

EncoderKey = tuple[str, int]
"""Model and version."""


class ReleaseUnusableError(Exception):
    """A release contradicts its encoders or its fellow releases; it cannot go live. The text says why."""


class EncoderSource(Protocol):
    """What is asked of the model repository."""

    def encoder(self, model: str, version: int) -> EncoderRecord:
        """The record beside an encoder's graph."""
        ...

    def version_dir(self, model: str, version: int) -> Path:
        """The folder of a version's files."""
        ...


@dataclass(frozen=True, slots=True)
class LiveRelease:
    """A live head, and the sequence number of its announcement."""

    release: Release
    sequence: int
    """Offset of the announcement in `catalog.releases`; 0 for `classify`."""


@dataclass(frozen=True, slots=True)
class LiveKind:
    """A consistent snapshot; a change of releases makes a new one."""

    kind: Kind
    releases: tuple[LiveRelease, ...]
    """One a task, in the order of the tasks' names; never empty."""
    encoders: Mapping[EncoderKey, EncoderRecord]
    """Every encoder that a release needs, once; its tensor stands in the plan at `features`."""
    plan: FeaturePlan
    modalities: frozenset[Modality]
    """What at least one release listens to; media of other modalities are not fetched."""
    picture_text: PictureTextFeatures | None = None
    """How texts are read from pictures; None where no release knows such."""


def build_live(kind: Kind, releases: Iterable[LiveRelease], source: EncoderSource) -> LiveKind:
    """The snapshot of a kind's live releases.

    Raises:
        ReleaseUnusableError: no release, two of one task, one of another kind, or a release whose features
            are not those of its encoders or do not go with the other releases' features.
        RepositoryError: an encoder's record is missing or unreadable (raised by `source`).
    """
    ordered = tuple(sorted(releases, key=lambda live: live.release.task))
    _check_tasks(kind, ordered)
    encoders: dict[EncoderKey, EncoderRecord] = {}
    for live in ordered:
        for modality, reference in live.release.encoders.items():
            record = source.encoder(reference.model, reference.version)
            _check_encoder(live.release, modality, reference, record)
            encoders[reference.model, reference.version] = record
    return LiveKind(
        kind=kind,
        releases=ordered,
        encoders=encoders,
        plan=FeaturePlan(
            specs=_specs(ordered, encoders.values()),
            tokenizers={
                record.features.tokenizer_sha256: str(source.version_dir(*key) / record.features.tokenizer)
                for key, record in encoders.items()
                if isinstance(record.features, TextFeatures)
            },
            max_text_chars=_max_text_chars(kind, ordered),
        ),
        modalities=frozenset(modality for live in ordered for modality in live.release.modalities),
        picture_text=_picture_text(kind, ordered),
    )


def _check_tasks(kind: Kind, releases: tuple[LiveRelease, ...]) -> None:
    if not releases:
        raise ReleaseUnusableError(f"no release of kind {kind}")
    if strangers := sorted({live.release.model for live in releases if live.release.kind != kind}):
        raise ReleaseUnusableError(f"not of kind {kind}: {', '.join(strangers)}")
    tasks = [live.release.task for live in releases]
    if twice := sorted({task for task in tasks if tasks.count(task) > 1}):
        raise ReleaseUnusableError(f"more than one release of {kind} for {', '.join(twice)}")


def _check_encoder(
    release: Release, modality: Modality, reference: EncoderReference, record: EncoderRecord
) -> None:
    head = f"{release.model} version {release.version}"
    encoder = f"{record.model} version {record.version}"
    if record.modality != modality:
        raise ReleaseUnusableError(f"{head} uses {encoder} for {modality}, but it encodes {record.modality}")
    if record.embedding_dim != reference.embedding_dim:
        raise ReleaseUnusableError(
            f"{head} expects embeddings of {reference.embedding_dim}, {encoder} gives {record.embedding_dim}"
        )
    if getattr(release.features, modality) != record.features:
        raise ReleaseUnusableError(f"{head} was trained with other {modality} features than {encoder} takes")


def _specs(
    releases: tuple[LiveRelease, ...], encoders: Iterable[EncoderRecord]
) -> tuple[ImageFeatures | TextFeatures | AudioFeatures | HashedTextFeatures, ...]:
    """Every specification once, so that equal features are computed once for all tasks."""
    hashed = (live.release.features.hashed_text for live in releases)
    return tuple(
        dict.fromkeys(
            [*(spec for spec in hashed if spec is not None), *(record.features for record in encoders)]
        )
    )


def _picture_text(kind: Kind, releases: tuple[LiveRelease, ...]) -> PictureTextFeatures | None:
    specs = {live.release.features.picture_text for live in releases}
    reading = [spec for spec in specs if spec is not None]
    if len(reading) > 1 or (len(specs) > 1 and reading[0].when == "always"):
        # An item has one text for all heads of its kind.
        raise ReleaseUnusableError(f"the releases of {kind} read pictures in different ways")
    return reading[0] if reading else None


def _max_text_chars(kind: Kind, releases: tuple[LiveRelease, ...]) -> int:
    lengths = {live.release.features.max_text_chars for live in releases}
    if len(lengths) > 1:
        # A head's features must be those it was trained with, and a kind's texts are cut once for all heads.
        raise ReleaseUnusableError(
            f"the releases of {kind} cut texts at different lengths: {sorted(lengths)}"
        )
    return lengths.pop()
