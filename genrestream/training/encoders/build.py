"""From drafts to versions in the model repository."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from genrestream.repository import GRAPH, Repository
from genrestream.repository.checksums import folder_checksums
from genrestream.schemas import AudioFeatures, EncoderRecord, ImageFeatures, Modality, TextFeatures
from genrestream.schemas.tensors import encoder_input
from genrestream.training.encoders.draft import Check, Draft, EncoderError, Progress
from genrestream.training.encoders.examples import Examples
from genrestream.training.encoders.parity import cost_ms

Builder = Callable[[Examples, Progress], Draft]

COST_TOKENS = 96
"""A text of this length is what a text encoder's cost is stated for."""


@dataclass(frozen=True, slots=True)
class Built:
    """An encoder in the repository, and what was measured."""

    record: EncoderRecord
    size_bytes: int
    """All files of the version."""
    cost_ms: float
    """One item on one thread; a text of 96 tokens."""
    build_s: float
    checks: tuple[Check, ...]
    unchanged: bool
    """Whether the newest version had these very files already, so that none was added."""


def build_encoder(builder: Builder, models: Path, examples: Examples, progress: Progress) -> Built:
    """Build an encoder, check it and add it to the repository.

    Raises:
        EncoderError: it cannot be built, or a check is not passed; nothing is added then.
        RepositoryError: the repository cannot be written.
    """
    start_s = perf_counter()
    draft = builder(examples, progress)
    refuse_failed(draft)
    progress("measure", 0, 1)
    with TemporaryDirectory() as folder:
        for name, content in draft.files.items():
            (Path(folder) / name).write_bytes(content)
        cost = cost_ms(Path(folder) / GRAPH, one_item(draft.features))
        checksums = folder_checksums(Path(folder))
    repository = Repository(models)
    record = _same(repository, draft, checksums)
    unchanged = record is not None
    if record is None:
        record = repository.add_encoder(draft.files, _record(draft))
    progress("measure", 1, 1)
    return Built(
        record=record,
        size_bytes=sum(map(len, draft.files.values())),
        cost_ms=cost,
        build_s=perf_counter() - start_s,
        checks=draft.checks,
        unchanged=unchanged,
    )


def refuse_failed(draft: Draft) -> None:
    """Raise EncoderError with all figures that do not keep their bounds."""
    if failed := [str(check) for check in draft.checks if not check.passed]:
        raise EncoderError(f"{draft.model} fails its checks: {'; '.join(failed)}")


def one_item(features: ImageFeatures | TextFeatures | AudioFeatures) -> dict[str, NDArray[np.generic]]:
    """A batch of one with plausible values, for measuring what an item costs."""
    rng = np.random.default_rng(0)
    tensor = encoder_input(features)
    match features:
        case ImageFeatures():
            values: NDArray[np.generic] = rng.integers(0, 256, (1, *tensor.shape), dtype=np.uint8)
        case TextFeatures():
            # No padding; and ids 1 and 2 are in every vocabulary, however small.
            tokens = min(COST_TOKENS, features.max_tokens)
            values = np.full((1, tokens), 2 if features.pad_id == 1 else 1, np.int64)
        case AudioFeatures():
            values = rng.uniform(0, 3, (1, *tensor.shape)).astype(np.float32)
    return {tensor.name: values}


def _same(repository: Repository, draft: Draft, checksums: dict[str, str]) -> EncoderRecord | None:
    """The record of the newest version if it holds the very same files."""
    if not repository.versions(draft.model):
        return None
    newest = repository.newest_encoder(draft.model)
    of_newest = (newest.checksums, newest.features, newest.views)
    return newest if of_newest == (checksums, draft.features, draft.views) else None


def _record(draft: Draft) -> EncoderRecord:
    return EncoderRecord(
        model=draft.model,
        version=1,
        modality=Modality(draft.features.modality),
        features=draft.features,
        embedding_dim=draft.embedding_dim,
        views=draft.views,
        source=draft.source,
        licence=draft.licence,
        checksums={},
        created_at=datetime.now(UTC).replace(microsecond=0),
    )


def pretrained_builders() -> Sequence[Builder]:
    """The builders of the three encoders from wheels: pictures, texts, music."""
    from genrestream.training.encoders import e5_small, efficientnet_lite0, musicnn  # noqa: PLC0415 - heavy

    return (efficientnet_lite0.build, e5_small.build, musicnn.build)
