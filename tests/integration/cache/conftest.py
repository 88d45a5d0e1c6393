"""A Redis server of its own for tests that empty it, stop it and start it again."""

import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis.asyncio import Redis

from genrestream.ops import redis as redis_server
from genrestream.ops.ports import Ports
from genrestream.schemas import (
    Decision,
    Kind,
    LabelConfidence,
    LabelRecord,
    Modality,
    ReleaseReference,
    Revision,
)
from genrestream.workers.cache import RedisCache
from genrestream.workers.script_pipeline import PipelineLimits

LIMITS = PipelineLimits(deadline_s=5.0, pause_s=0.05)


class OwnRedis:
    """A server that can be killed and come back empty on the same port."""

    def __init__(self, folder: Path) -> None:
        self._server = redis_server.server(folder, Ports(usual=False))
        self._process: subprocess.Popen[bytes] | None = None
        self.url = self._server.addresses["url"]

    def start(self) -> None:
        self._process = subprocess.Popen(
            [*self._server.argv, "--save", ""],
            cwd=self._server.cwd,
            stdout=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + 30
        while not self._server.ready():
            assert self._process.poll() is None, "redis-server ended"
            assert time.monotonic() < deadline_s, "redis-server does not answer"
            time.sleep(0.02)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="session")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    server = OwnRedis(tmp_path_factory.mktemp("own_redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def redis(own_redis: OwnRedis) -> AsyncIterator[Redis]:
    """A client of the emptied server."""
    async with Redis.from_url(own_redis.url, decode_responses=True) as client:
        await client.flushall()
        yield client


@pytest.fixture
async def cache(own_redis: OwnRedis, redis: Redis) -> AsyncIterator[RedisCache]:
    """The cache on the emptied server."""
    made = RedisCache(own_redis.url, LIMITS)
    yield made
    await made.close()


def _record(
    offset: int, sequence: int = 0, item_id: str = "p:1", task: str = "genres", **labels: float
) -> LabelRecord:
    return LabelRecord(
        kind=Kind.PODCAST,
        id=item_id,
        task=task,
        labels=tuple(
            LabelConfidence(label=name, confidence=value)
            for name, value in (labels or {"comedy": 0.5}).items()
        ),
        decision=Decision.LABELLED,
        release=ReleaseReference(model="podcast-genres", version=1, taxonomy="t", taxonomy_version=1),
        modalities_used=(Modality.TEXT,),
        content_hash="0" * 64,
        revision=Revision(offset, sequence),
        arrived_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        labelled_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    )


@pytest.fixture
def record() -> Callable[..., LabelRecord]:
    """Makes a record: offset, sequence, item_id and task, then labels by name, else comedy 0.5."""
    return _record
