"""Scripts on Redis in few requests."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from genrestream.workers.lookups import FIND_RECORDS
from genrestream.workers.script_pipeline import PipelineLimits, ScriptPipeline, connect

LIMITS = PipelineLimits(max_batch=20, spacing_s=1.0, deadline_s=10.0)


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The calls in each request that any pipeline sends."""
    sent: list[int] = []
    send = ScriptPipeline._request

    async def counted(self: ScriptPipeline, calls: Sequence[Any]) -> list[Any]:
        sent.append(len(calls))
        return await send(self, list(calls))

    monkeypatch.setattr(ScriptPipeline, "_request", counted)
    return sent


@pytest.fixture
async def pipeline(own_redis: Any) -> AsyncIterator[ScriptPipeline]:
    """To a Redis of the tests, which knows the script."""
    redis = connect(own_redis.url, LIMITS.deadline_s, None)
    await redis.script_load(FIND_RECORDS.text)
    yield ScriptPipeline(redis, LIMITS)
    await redis.aclose()


async def ask(pipeline: ScriptPipeline, calls: int) -> None:
    """So many calls, one in each turn of the loop, and their answers."""
    asked = []
    for _ in range(calls):
        asked.append(asyncio.create_task(pipeline.run(FIND_RECORDS, ["labels:v1:podcast:x"], ["genres"])))
        await asyncio.sleep(0)
    assert await asyncio.gather(*asked) == [[None]] * calls


async def test_calls_that_follow_each_other_share_a_request(
    pipeline: ScriptPipeline, requests: list[int]
) -> None:
    """Claim: the first call goes out alone and at once, those that come within the spacing go together."""
    await ask(pipeline, 1)
    await ask(pipeline, 10)
    assert requests == [1, 10]


async def test_a_full_batch_waits_for_nothing(pipeline: ScriptPipeline, requests: list[int]) -> None:
    """Claim: what fills a batch goes out at once, and no request holds more."""
    await ask(pipeline, 1)
    await asyncio.gather(
        *(pipeline.run(FIND_RECORDS, ["labels:v1:podcast:x"], ["genres"]) for _ in range(50))
    )
    assert requests == [1, 20, 20, 10]
