"""Published again: an item gets its earlier labels where they still hold, and new ones where they may not."""

import asyncio
import uuid
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from drills.release import train_again
from genrestream.client.publisher import Message, item_message
from genrestream.ops.state import StackState
from genrestream.ops.worker_process import WorkerProcess
from genrestream.schemas import Kind, LabelRecord, Podcast
from tests.end_to_end.conftest import StartWorker
from tests.end_to_end.harness import Outside
from tests.end_to_end.test_release import command

TRIES = 20
"""A Redis that is slow to answer has the item labelled anew, which is right, but not the claim."""


def total(page: str, name: str) -> int:
    """A counter over all its labels."""
    return sum(
        round(sample.value)
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if sample.name == name
    )


async def reused(worker: WorkerProcess) -> int:
    """Items that were answered by an earlier result, of all that have ended by now."""
    shown = await asyncio.to_thread(worker.metrics)
    async with asyncio.timeout(30):
        # A page is shown for a second; the next one is of after this call.
        while (page := await asyncio.to_thread(worker.metrics)) == shown:
            await asyncio.sleep(0.1)
    return total(page, "genrestream_items_reused_total")


async def labelled(outside: Outside, message: Message, item_id: str) -> LabelRecord:
    """Publish, and return the record once Redis has it."""
    before = len(outside.seen.records[item_id])
    await outside.publish([message])
    await outside.until(lambda seen: len(seen.records[item_id]) > before)
    record = outside.seen.records[item_id][-1]
    assert record.revision is not None
    revision = list(record.revision)
    await outside.until_cached(Kind.PODCAST, item_id, lambda cached: cached["genres"]["revision"] == revision)
    return record


async def test_what_is_done_is_not_done_again(
    start_worker: StartWorker, outside: Outside, stack: StackState, models_dir: Path
) -> None:
    """Claim: published again the item has its earlier labels under a newer revision and the metric says so;
    with --force's header, with other words and after a release it is labelled anew.
    """
    worker = start_worker("e2e-a")
    item = Podcast(id=uuid.uuid4().hex[:8], title="Markets", description="Stocks and bonds.")
    first = await labelled(outside, item_message(item), item.id)
    assert await reused(worker) == 0
    for _ in range(TRIES):
        again = await labelled(outside, item_message(item), item.id)
        if await reused(worker):
            break
    assert await reused(worker) == 1
    assert again.revision is not None
    assert first.revision is not None
    assert again.revision > first.revision
    assert (again.labels, again.content_hash) == (first.labels, first.content_hash)
    assert again.labelled_at > first.labelled_at
    await labelled(outside, item_message(item, force=True), item.id)
    assert await reused(worker) == 1
    other = await labelled(outside, item_message(item.model_copy(update={"title": "Jazz"})), item.id)
    assert other.content_hash != first.content_hash
    assert await reused(worker) == 1
    await labelled(outside, item_message(item), item.id)
    train_again(models_dir)
    await asyncio.to_thread(
        command, stack, "release", "podcast-genres", "--force", "--models", str(models_dir)
    )
    async with asyncio.timeout(60):
        # Until the worker follows the release, the earlier labels are right.
        while (await labelled(outside, item_message(item), item.id)).release.version == first.release.version:
            pass
    await asyncio.to_thread(command, stack, "rollback", "podcast-genres", "--models", str(models_dir))
