"""The label cache in Redis: what is written only if it is newer, and how recommenders read it.

`labels:v1:{kind}:{id}` is a hash of label records in JSON, a field a task; `items:v1:{kind}:{task}:{label}` a
sorted set of item ids by confidence. One Lua script compares revisions and writes both, so that nobody sees
one without the other and an older revision never wins. Everything expires 90 days after its last write, and
can be rebuilt from `catalog.labels`.

Redis may evict by `volatile-ttl` or not at all: revisions expire after their records, so that policy never
drops a revision before its record, while any other could and would let an older record in. The scripts touch
keys of several slots, so Redis Cluster is not supported; a primary with replicas is.
"""

import logging
import secrets
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha1
from pathlib import Path
from typing import Any, NamedTuple, cast

from pydantic import ValidationError
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from genrestream.schemas.items import Kind
from genrestream.schemas.labels import LabelRecord
from genrestream.schemas.redis_keys import (
    FILLED_KEY,
    LABELS_TTL_S,
    REMOVAL_TTL_S,
    expiries_key,
    items_key,
    items_prefix,
    labels_key,
    removal_key,
    revisions_key,
)
from genrestream.workers.errors import CacheAccessError, CacheRefusedError, CacheUnavailableError
from genrestream.workers.protocols import CacheOutcome
from genrestream.workers.script_pipeline import Argument, PipelineLimits, Script, ScriptPipeline, connect

log = logging.getLogger(__name__)

MAX_TOP = 1000
"""The most items that `top` gives."""


def load_script(*names: str) -> Script:
    """The Lua script in the files of these names beside this module, one after the other."""
    text = "".join((Path(__file__).parent / name).read_text() for name in names)
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


WRITE = load_script("cache_state.lua", "cache_write.lua")
REMOVE = load_script("cache_state.lua", "cache_remove.lua")
END_FILL = load_script("cache_end_fill.lua")


@contextmanager
def _raised_as_unavailable() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise CacheUnavailableError(f"Redis: {error}") from error


class RankedItem(NamedTuple):
    """An item of a label."""

    item_id: str
    confidence: float


class RedisCache:
    """The label cache. Writing never raises: a failure is an outcome, since the label topic has the truth."""

    def __init__(
        self,
        url: str,
        limits: PipelineLimits | None = None,
        labels_ttl_s: int = LABELS_TTL_S,
        removal_ttl_s: int = REMOVAL_TTL_S,
        security: Mapping[str, Any] | None = None,
    ) -> None:
        """Connect lazily to `url`: redis://, rediss:// or unix://, with user and password where needed.

        `security` holds redis-py's arguments of that kind: TLS and the password, where it is not in the URL.

        Raises:
            ValueError: the URL is none of these.
        """
        limits = limits or PipelineLimits()
        self._redis = connect(url, limits.deadline_s, security)
        self._scripts = ScriptPipeline(self._redis, limits)
        self._labels_ttl_s = labels_ttl_s
        self._removal_ttl_s = removal_ttl_s

    async def check_access(self) -> None:
        """Return if Redis takes the connection, or is away.

        Raises:
            CacheAccessError: it refuses the login or the TLS handshake.
        """
        try:
            await self._redis.info("server")
        except (AuthenticationError, NoPermissionError) as error:
            raise CacheAccessError(f"Redis refuses the login: {error}") from error
        except RedisError as error:
            # redis-py wraps what the handshake raised.
            if isinstance(error.__context__, ssl.SSLError):
                raise CacheAccessError(f"Redis refuses the connection: {error}") from error
            log.debug("Redis is away: %s", error)

    async def write(self, record: LabelRecord, encoded: bytes | None = None) -> CacheOutcome:
        """Write the record unless what is there is as new, or the item was removed later.

        `encoded` is its JSON where it is at hand.
        """
        if record.revision is None:
            raise ValueError(f"the record of {record.kind} {record.id} has no revision to compare")
        arguments: list[Argument] = [
            record.task,
            record.revision.item_offset,
            record.revision.release_sequence,
            encoded or record.model_dump_json(),
            record.id,
            items_prefix(record.kind),
            self._labels_ttl_s,
        ]
        for label in record.labels:
            arguments += (label.label, label.confidence)
        return await self._outcome(WRITE, record.kind, record.id, arguments)

    async def remove(self, kind: Kind, item_id: str, item_offset: int) -> CacheOutcome:
        """Delete the item's labels of this and earlier offsets, and refuse them from now on."""
        arguments: list[Argument] = [item_offset, item_id, items_prefix(kind), self._removal_ttl_s]
        return await self._outcome(REMOVE, kind, item_id, arguments)

    @property
    def trouble(self) -> str:
        """Why the latest write that failed did, one line for people."""
        return self._scripts.trouble

    async def lookup(self, kind: Kind, item_id: str) -> dict[str, LabelRecord]:
        """The item's label records by task, empty if there are none.

        Raises:
            CacheUnavailableError: Redis does not answer, or holds what is no label record.
        """
        try:
            with _raised_as_unavailable():
                fields: Any = await self._redis.hgetall(labels_key(kind, item_id))
            return {task.decode(): LabelRecord.model_validate_json(record) for task, record in fields.items()}
        except ValidationError as error:
            raise CacheUnavailableError(
                f"Redis: {labels_key(kind, item_id)} holds no label record"
            ) from error

    async def top(self, kind: Kind, task: str, label: str, count: int) -> list[RankedItem]:
        """The items that have the label, the most confident first, at most `count` and `MAX_TOP`.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        wanted = min(count, MAX_TOP)
        found: list[RankedItem] = []
        start = 0
        with _raised_as_unavailable():
            while len(found) < wanted:
                page = await self._page(kind, task, label, start, wanted)
                if page is None:
                    break
                found += page
                start += wanted
        return found[:wanted]

    async def unfilled(self, partitions: Sequence[int]) -> list[int]:
        """Which of these partitions of the label topic this run of the Redis server does not have whole.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        if not partitions:
            return []
        with _raised_as_unavailable():
            run_id = await self._run_id()
            # redis-py's types are those of its synchronous client too.
            filled: Any = await cast(Any, self._redis.hmget(FILLED_KEY, [str(each) for each in partitions]))
        return [
            partition
            for partition, by in zip(partitions, filled, strict=True)
            if by is None or by.decode() != run_id
        ]

    async def begin_fill(self, partitions: Sequence[int]) -> str:
        """Note that these partitions are being copied; the token to end it with.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        with _raised_as_unavailable():
            token = f"{await self._run_id()} {secrets.token_hex(8)}"
            await cast(Any, self._redis.hset(FILLED_KEY, mapping={str(each): token for each in partitions}))
        return token

    async def end_fill(self, partitions: Sequence[int], token: str) -> None:
        """Note that they are copied, unless Redis lost the beginning of it meanwhile.

        Raises:
            CacheUnavailableError: Redis does not answer.
        """
        run_id = token.partition(" ")[0]
        for partition in partitions:
            await self._scripts.run(END_FILL, [FILLED_KEY], [partition, token, run_id])

    async def _run_id(self) -> str:
        server: dict[str, Any] = await self._redis.info("server")
        return str(server["run_id"])

    async def close(self) -> None:
        """Answer what waits and close the connections."""
        await self._scripts.close()
        await self._redis.aclose()

    async def _page(
        self, kind: Kind, task: str, label: str, start: int, size: int
    ) -> Sequence[RankedItem] | None:
        """A page of the label's set without items whose record expired; None after the last one."""
        rows: Any = await self._redis.zrange(
            items_key(kind, task, label), start, start + size - 1, desc=True, withscores=True
        )
        if not rows:
            return None
        ranked = [RankedItem(item_id.decode(), confidence) for item_id, confidence in rows]
        pipeline = self._redis.pipeline(transaction=False)
        for item in ranked:
            pipeline.hexists(labels_key(kind, item.item_id), task)
        alive: list[bool] = await pipeline.execute()
        return [item for item, is_alive in zip(ranked, alive, strict=True) if is_alive]

    async def _outcome(
        self, script: Script, kind: Kind, item_id: str, arguments: Sequence[Argument]
    ) -> CacheOutcome:
        keys = (
            labels_key(kind, item_id),
            revisions_key(kind, item_id),
            removal_key(kind, item_id),
            expiries_key(kind),
        )
        try:
            return CacheOutcome((await self._scripts.run(script, keys, arguments)).decode())
        except CacheRefusedError as error:
            log.warning("%s %s cannot be cached: %s", kind, item_id, error)
            return CacheOutcome.REFUSED
        except CacheUnavailableError as error:
            log.debug("%s %s is not in the cache: %s", kind, item_id, error)
            return CacheOutcome.FAILED
