"""Labels without Kafka, Redis or Triton: the worker's steps on one window of items, models in process."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from genrestream.repository import GRAPH, HeadChoice, Repository, RepositoryError
from genrestream.schemas import Item, Kind, LabelRecord
from genrestream.workers.earlier import content_hash
from genrestream.workers.errors import FeaturesImpossibleError, Rejected
from genrestream.workers.feature_pool import FeaturePool, PoolLimits
from genrestream.workers.gather import Gathered, gather
from genrestream.workers.live import LiveKind, LiveRelease, ReleaseUnusableError, build_live
from genrestream.workers.observe import Timer
from genrestream.workers.onnx_runtime import OnnxRuntimeInference
from genrestream.workers.protocols import Media, NothingRead, PictureTexts
from genrestream.workers.read_pictures import with_picture_text
from genrestream.workers.records import Origin, label_records, nothing_left
from genrestream.workers.score import Scored, score


class ClassifyError(Exception):
    """Nothing can be labelled; one line for people."""


class Classifier:
    """The models of a repository, in process. Use it as an asynchronous context manager.

    Of each head the version is used that was trained, released or rolled back to last.

    Raises:
        ClassifyError: there is no model to use, or what is there does not fit together.
    """

    def __init__(
        self,
        models: Path,
        media: Media,
        tasks: Sequence[str] = (),
        picture_texts: PictureTexts | None = None,
    ) -> None:
        self._media = media
        self._picture_texts = picture_texts or NothingRead()
        self._repository = Repository(models)
        try:
            self._choices = _choices(self._repository, tasks)
            self._live = {
                kind: self._build(kind) for kind in {choice.release.kind for choice in self._choices}
            }
        except (RepositoryError, ReleaseUnusableError) as error:
            raise ClassifyError(str(error)) from error
        self._graphs = {_key(choice): choice.graph for choice in self._choices}
        cores = os.cpu_count() or 1
        self._features = FeaturePool(PoolLimits(processes=cores, chunks_in_flight=2 * cores))
        self._inference = OnnxRuntimeInference(self._graph_path, threads=cores)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._features)
        await self._stack.enter_async_context(self._inference)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def choices(self) -> tuple[HeadChoice, ...]:
        """The heads that are used."""
        return self._choices

    async def classify(
        self, items: Sequence[Item], *, all_scores: bool
    ) -> list[list[LabelRecord] | Rejected]:
        """Each item's records, one a task, or why there are none; in order.

        Raises:
            ClassifyError: a model cannot be loaded, or features cannot be made at all.
        """
        results: list[list[LabelRecord] | Rejected | None] = [None] * len(items)
        try:
            for kind in {item.kind for item in items}:
                rows = [row for row, item in enumerate(items) if item.kind == kind]
                labelled = await self._classify_kind(
                    kind, [items[row] for row in rows], all_scores=all_scores
                )
                for row, records in zip(rows, labelled, strict=True):
                    results[row] = records
        except (RepositoryError, FeaturesImpossibleError) as error:
            raise ClassifyError(str(error)) from error
        return [result for result in results if result is not None]

    async def _classify_kind(
        self, kind: Kind, items: Sequence[Item], *, all_scores: bool
    ) -> list[list[LabelRecord] | Rejected]:
        live = self._live.get(kind)
        if live is None:
            raise ClassifyError(f"no model for items of kind {kind} in {self._repository.root}")
        origin = Origin(arrived_at=datetime.now(UTC), all_scores=all_scores)
        gathered = await asyncio.gather(*(gather(item, live, self._media) for item in items))
        contents = await asyncio.gather(
            *(with_picture_text(found.content, live, self._picture_texts) for found in gathered)
        )
        gathered = [
            replace(found, content=content) for found, content in zip(gathered, contents, strict=True)
        ]
        extractions = await self._features.extract(contents, live.plan)
        scored = await score(extractions, live, self._inference, Timer())
        return [
            _result(item, origin, one, found)
            for item, one, found in zip(items, scored, gathered, strict=True)
        ]

    def _build(self, kind: Kind) -> LiveKind:
        releases = (choice.release for choice in self._choices if choice.release.kind == kind)
        return build_live(kind, (LiveRelease(release, sequence=0) for release in releases), self._repository)

    def _graph_path(self, model: str, version: int) -> Path:
        found = self._graphs.get((model, version))
        if found is not None:
            return found
        self._repository.verify(model, version)
        return self._repository.version_dir(model, version) / GRAPH


def _choices(repository: Repository, tasks: Sequence[str]) -> tuple[HeadChoice, ...]:
    choices = tuple(choice for choice in repository.newest() if not tasks or choice.release.task in tasks)
    if not choices:
        wanted = f" for the task {', '.join(tasks)}" if tasks else ""
        raise ClassifyError(f"no trained model{wanted} in {repository.root}: `genrestream train` makes one")
    return choices


def _key(choice: HeadChoice) -> tuple[str, int]:
    return choice.release.model, choice.release.version


def _result(item: Item, origin: Origin, scored: Scored, found: Gathered) -> list[LabelRecord] | Rejected:
    missing = {**scored.extraction.missing, **found.missing}
    records = label_records(
        item, origin, scored, missing, content_hash(item), datetime.now(UTC), found.content.read_text
    )
    return records or nothing_left(item.kind, missing)
