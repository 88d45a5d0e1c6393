"""What Redis remembers of work done: earlier label records, and embeddings of media.

It spares work and is never needed. While Redis is away, slow or empty the answer is that nothing is known; a
question is answered within `2 * LIMITS.deadline_s` and a spacing: the request under way, and its own.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from genrestream.schemas import Kind, LabelRecord
from genrestream.schemas.redis_keys import EMBEDDINGS_KEPT_KEY, EMBEDDINGS_TTL_S, embedding_key, labels_key
from genrestream.workers.cache import load_script
from genrestream.workers.errors import CacheRefusedError, CacheUnavailableError
from genrestream.workers.protocols import EmbeddingName
from genrestream.workers.script_pipeline import Argument, PipelineLimits, Script, ScriptPipeline, connect

log = logging.getLogger(__name__)

LIMITS = PipelineLimits(max_batch=512, max_waiting=2048, spacing_s=0.02, deadline_s=0.25, pause_s=2.0)
"""All that waits goes out in one request. At once, 800 items a second made 400 requests, and one costs as
much as ten items in one. A miss costs milliseconds of work: nothing to wait longer for."""

MAX_KEEPING = 8
"""Micro-batches whose embeddings are on their way to Redis; those of more are not kept."""

FIND_RECORDS = load_script("cache_records.lua")
FIND_EMBEDDINGS = load_script("embeddings_find.lua")
KEEP_EMBEDDING = load_script("embeddings_keep.lua")


class RedisLookups:
    """One connection for questions that may stay unanswered, apart from that of the label cache."""

    def __init__(
        self, url: str, limits: PipelineLimits = LIMITS, security: Mapping[str, Any] | None = None
    ) -> None:
        """Connect lazily. `security` holds redis-py's arguments of that kind.

        Raises:
            ValueError: the URL is none of Redis's.
        """
        self._redis = connect(url, limits.deadline_s, security)
        self._scripts = ScriptPipeline(self._redis, limits)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._scripts.close()
        await self._redis.aclose()

    async def ask(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        """The script's reply; None when there is none, for whatever reason."""
        try:
            return await self._scripts.run(script, keys, arguments)
        except (CacheUnavailableError, CacheRefusedError) as error:
            log.debug("not known: %s", error)  # ScriptPipeline says so once an outage, for operators.
            return None


class EarlierRecords:
    """The `Earlier` of a worker: what the label cache has."""

    def __init__(self, lookups: RedisLookups) -> None:
        self._lookups = lookups

    async def records(self, kind: Kind, item_id: str, tasks: Sequence[str]) -> list[LabelRecord]:
        """The item's label records of these tasks, without those that are not there or cannot be read."""
        found = await self._lookups.ask(FIND_RECORDS, [labels_key(kind, item_id)], list(tasks))
        return [record for value in found or () if (record := _readable(value)) is not None]


def _readable(value: bytes | None) -> LabelRecord | None:
    if value is None:
        return None
    try:
        return LabelRecord.model_validate_json(value)
    except ValidationError:
        return None


@dataclass(frozen=True, slots=True)
class KeepLimits:
    """Bounds of what is kept in Redis."""

    max_entries: int = 20_000
    """Embeddings; the oldest go first. At 1,280 float32 values, 5 KiB, this is 100 MiB."""
    ttl_s: int = EMBEDDINGS_TTL_S


class StoredEmbeddings:
    """The `EmbeddingStore` of a worker. Values are float32, so that a hit is the very embedding."""

    def __init__(self, lookups: RedisLookups, limits: KeepLimits) -> None:
        self._lookups = lookups
        self._limits = limits
        self._keeping: set[asyncio.Task[None]] = set()

    async def find(self, wanted: Mapping[EmbeddingName, int]) -> dict[EmbeddingName, NDArray[np.float32]]:
        """Those that are there, float32 [d]; `wanted` gives the size d of each."""
        if not wanted:
            return {}
        found = await self._lookups.ask(FIND_EMBEDDINGS, [embedding_key(*name) for name in wanted])
        read = {
            name: _embedding(value, size)
            for (name, size), value in zip(wanted.items(), found or [None] * len(wanted), strict=True)
        }
        return {name: embedding for name, embedding in read.items() if embedding is not None}

    def keep(self, embeddings: Mapping[EmbeddingName, NDArray[np.float32]]) -> None:
        """Have them written, without waiting for it."""
        if not embeddings or len(self._keeping) >= MAX_KEEPING:
            return
        task = asyncio.create_task(self._keep(embeddings))
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)

    async def close(self) -> None:
        """Return once what was to be kept is written or given up."""
        await asyncio.gather(*self._keeping)

    async def _keep(self, embeddings: Mapping[EmbeddingName, NDArray[np.float32]]) -> None:
        bounds = [self._limits.ttl_s, self._limits.max_entries]
        await asyncio.gather(
            *(
                self._lookups.ask(
                    KEEP_EMBEDDING,
                    [embedding_key(*name), EMBEDDINGS_KEPT_KEY],
                    [embedding.astype("<f4").tobytes(), *bounds],
                )
                for name, embedding in embeddings.items()
            )
        )


def _embedding(value: bytes | None, size: int) -> NDArray[np.float32] | None:
    """None for what is no embedding of this size: an encoder of the same name from elsewhere, say."""
    if value is None or len(value) != 4 * size:
        return None
    embedding = np.frombuffer(value, "<f4").astype(np.float32)
    return embedding if np.isfinite(embedding).all() else None
