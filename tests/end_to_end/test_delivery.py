"""Nothing is lost and nothing stays stale, also when a worker is killed in the middle."""

import asyncio
import uuid

from drills.proxy import proxy
from genrestream.client.publisher import item_message, removal_message
from genrestream.ops.worker_process import WorkerProcess
from genrestream.schemas import Kind, Podcast, Revision
from genrestream.workers.membership import NEWCOMER_SESSIONS
from tests.end_to_end.conftest import SHORT_SESSION, StartWorker
from tests.end_to_end.harness import Outside


def podcasts(count: int, title: str = "Markets and money") -> list[Podcast]:
    """New podcasts with ids that no other test has."""
    run = uuid.uuid4().hex[:8]
    return [
        Podcast(
            id=f"{run}-{number}",
            title=f"{title} {number}",
            description="Stocks, startups and interest rates.",
        )
        for number in range(count)
    ]


async def test_kill_9_of_a_worker_in_the_middle_loses_nothing(
    start_worker: StartWorker, outside: Outside
) -> None:
    """Claim: with one of two workers killed under load and restarted, each of 3,000 items has its label,
    in the topic and in Redis, and duplicates carry the revision of the first one.
    """
    survivor, victim = start_worker("e2e-a"), start_worker("e2e-b")
    items = podcasts(3000)
    publishing = asyncio.create_task(outside.publish([item_message(item) for item in items]))
    await killed_in_the_middle(victim)
    await publishing
    await asyncio.to_thread(restart, victim)
    await outside.wait_for([item.id for item in items])
    assert survivor.poll() is None
    for item in items:
        records = outside.seen.records[item.id]
        assert {record.revision for record in records} == {records[0].revision}
        assert outside.seen.letters.get(item.id) is None
    for item in items[::100]:
        assert (await outside.until_cached(Kind.PODCAST, item.id))["genres"]["id"] == item.id


async def killed_in_the_middle(victim: WorkerProcess) -> None:
    """Kill the worker once it has labelled something and is busy."""
    async with asyncio.timeout(60):
        while 'genrestream_items_total{kind="podcast",outcome="labelled"}' not in victim.metrics():
            await asyncio.sleep(0.01)
    await asyncio.to_thread(victim.kill)


def restart(victim: WorkerProcess) -> None:
    """Start the worker again under its name."""
    victim.start()
    victim.wait_ready()


async def test_a_newcomer_gives_way_to_the_worker_that_has_its_name(
    start_worker: StartWorker, outside: Outside
) -> None:
    """Claim: it ends with the reason, and the other one labels what comes."""
    first = start_worker("e2e-same")
    await asyncio.sleep(NEWCOMER_SESSIONS * float(SHORT_SESSION["GENRESTREAM_SESSION_TIMEOUT_S"]))
    second = start_worker("e2e-same", ready=False)
    async with asyncio.timeout(90):
        while (status := second.poll()) is None:
            await asyncio.sleep(0.1)
    assert status == 1
    assert "another worker runs under the name e2e-same" in second.last_words()
    items = podcasts(20)
    await outside.publish([item_message(item) for item in items])
    await outside.wait_for([item.id for item in items])
    assert first.poll() is None


async def test_the_newest_version_wins_and_a_removal_removes(
    start_worker: StartWorker, outside: Outside
) -> None:
    """Claim: of 20 versions of an item published at once, topic and Redis end with the last one; a removal
    then leaves a tombstone and no cached labels.
    """
    start_worker("e2e-a")
    (item,) = podcasts(1)
    versions = [item.model_copy(update={"title": f"Version {number}"}) for number in range(20)]
    await outside.publish([item_message(version) for version in versions])
    await outside.until(lambda seen: len(seen.records[item.id]) >= 20)
    revisions = [record.revision for record in outside.seen.records[item.id]]
    assert revisions == sorted(set(revisions), key=lambda revision: revision or Revision(-1, -1))
    await outside.until_cached(
        Kind.PODCAST,
        item.id,
        lambda cached: bool(cached) and tuple(cached["genres"]["revision"]) == revisions[-1],
    )
    await outside.publish([removal_message(Kind.PODCAST, item.id)])
    await outside.until(lambda seen: seen.removed[item.id] == 1)
    await outside.until_cached(Kind.PODCAST, item.id, lambda cached: not cached)


async def test_sigterm_drains_and_another_worker_goes_on(start_worker: StartWorker, outside: Outside) -> None:
    """Claim: asked to stop under load, a worker ends with status 0, and no item is lost or done twice."""
    leaver = start_worker("e2e-a")
    start_worker("e2e-b")
    items = podcasts(1500)
    publishing = asyncio.create_task(outside.publish([item_message(item) for item in items]))
    await outside.until(lambda seen: len(seen.records) > 50)
    assert await asyncio.to_thread(leaver.stop) == 0
    await publishing
    await outside.wait_for([item.id for item in items])
    assert [item.id for item in items if len(outside.seen.records[item.id]) > 1] == []


async def test_a_drain_ends_in_its_time(start_worker: StartWorker, outside: Outside) -> None:
    """Claim: a worker whose items wait for a Triton that hangs ends soon after its drain deadline, and what
    it had in flight is labelled by the next one.
    """
    async with proxy(outside.addresses.triton_url) as triton:
        leaver = await asyncio.to_thread(
            start_worker, "e2e-a", TRITON_URL=triton.address, GENRESTREAM_DRAIN_DEADLINE_S="1"
        )
        triton.stall()
        items = podcasts(200)
        await outside.publish([item_message(item) for item in items])
        async with asyncio.timeout(30):
            while "genrestream_items_in_flight 2" not in await asyncio.to_thread(leaver.metrics):
                await asyncio.sleep(0.05)
        # Far more than a second, far less than the 30 s that a request to Triton may take.
        assert await asyncio.to_thread(leaver.stop, 15) == 0
        assert outside.seen.records == {}
    await asyncio.to_thread(start_worker, "e2e-a")
    await outside.wait_for([item.id for item in items])
    assert [item.id for item in items if len(outside.seen.records[item.id]) != 1] == []
