"""The drills: each does something to a stack under load and says how long the load goes on.

`Size` scales them: the short form runs with the tests, the long one as `make drill`.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kafka.admin import ConfigResource, KafkaAdminClient
from redis.asyncio import Redis

from drills.clock import JumpingClock
from drills.places import Place, cluster, local, on_a_small_disk, proxied
from drills.proxy import proxy
from drills.release import train_again
from drills.scene import Scene
from genrestream.ops.worker_process import WorkerProcess
from genrestream.repository import Repository
from genrestream.schemas.topics import LABELS
from genrestream.workers.announce import announce_live


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    rate_per_s: float
    kills: int
    outage_s: float
    pause_s: float
    """Between faults, and before the first and after the last one."""


SHORT = Size(rate_per_s=80, kills=2, outage_s=2, pause_s=1)
LONG = Size(rate_per_s=200, kills=20, outage_s=30, pause_s=4)

HEAD = "podcast-genres"

Act = Callable[[Scene, Size], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Drill:
    """What is done, and where."""

    act: Act
    place: Place


async def workers_killed(scene: Scene, size: Size) -> None:
    """Two workers are killed with -9 in turn and started again."""
    names = ("drill-a", "drill-b")
    for name in names:
        await scene.start_worker(name)
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        for kill in range(size.kills):
            name = names[kill % 2]
            await scene.kill_worker(name)
            async with scene.fault():
                await scene.start_worker(name)
            await asyncio.sleep(size.pause_s)


async def workers_come_and_go(scene: Scene, size: Size) -> None:
    """Workers join and leave every few seconds while one stays."""
    await scene.start_worker("drill-a")
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        for turn in range(max(2, size.kills // 4)):
            name = f"drill-guest-{turn % 3}"
            async with scene.fault():
                await scene.start_worker(name)
                await asyncio.sleep(size.pause_s)
                if await scene.stop_worker(name) != 0:
                    raise RuntimeError(f"{name} did not leave in order")
        await asyncio.sleep(size.pause_s)


async def _outage(scene: Scene, size: Size, name: str) -> None:
    await scene.start_worker("drill-a")
    server = scene.server(name)
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        async with scene.fault():
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(size.outage_s)
            await asyncio.to_thread(server.start)
            await _after_start(scene, name)
        await asyncio.sleep(size.pause_s)


async def _after_start(scene: Scene, name: str) -> None:
    """A Triton that is started anew has no model until somebody loads what is live."""
    if name == "triton":
        await announce_live(scene.models, scene.state.kafka_bootstrap, scene.state.triton_url)


async def triton_killed(scene: Scene, size: Size) -> None:
    """Triton is away."""
    await _outage(scene, size, "triton")


async def triton_killed_in_a_release(scene: Scene, size: Size) -> None:
    """Triton is killed in the middle of a release, each time later in it, and the release tried again."""
    worker = await scene.start_worker("drill-a")
    triton = scene.server("triton")
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        for turn in range(max(1, size.kills // 2)):
            await asyncio.to_thread(train_again, scene.models)
            async with scene.fault():
                release = await _genrestream(scene, "release", HEAD)
                # The command takes some two seconds, of which Triton is asked in the second one.
                await asyncio.sleep(1.0 + 2.0 * turn / size.kills)
                await asyncio.to_thread(triton.kill)
                done = await _ended(release)
                await asyncio.to_thread(triton.start)
                await _after_start(scene, "triton")
                if done != 0 and (status := await _ended(await _genrestream(scene, "release", HEAD))) != 0:
                    raise RuntimeError(f"the release, tried again, ended with status {status}")
            await _until_followed(scene, worker)
            await asyncio.sleep(size.pause_s)


async def disk_full(scene: Scene, size: Size) -> None:
    """The disk of the model repository is full when a release is half written, and is given room again."""
    if scene.disk is None:
        raise RuntimeError("this drill needs a disk that can be filled")
    worker = await scene.start_worker("drill-a")
    repository = Repository(scene.models)
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        for _ in range(max(1, size.kills // 5)):
            await asyncio.to_thread(train_again, scene.models)
            before = repository.live(HEAD)
            async with scene.fault():
                await asyncio.to_thread(scene.disk.fill, _half_a_version_bytes(repository))
                status, told = await _told(await _genrestream(scene, "release", HEAD))
                if status == 0 or "No space left on device" not in told or repository.live(HEAD) != before:
                    raise RuntimeError(f"a release on a full disk ended with status {status}: {told!r}")
                await asyncio.sleep(size.pause_s)
                scene.disk.free()
            if (status := await _ended(await _genrestream(scene, "release", HEAD))) != 0:
                raise RuntimeError(f"the release, with room for it, ended with status {status}")
            await _until_followed(scene, worker)
            await asyncio.sleep(size.pause_s)


def _half_a_version_bytes(repository: Repository) -> int:
    live = repository.live(HEAD)
    if live is None:
        raise RuntimeError(f"{HEAD} is not live")
    files = repository.version_dir(live.model, live.version).iterdir()
    return sum(path.stat().st_size for path in files) // 2


async def _genrestream(scene: Scene, *arguments: str) -> asyncio.subprocess.Process:
    """The command line, as an operator of this stack uses it."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "genrestream", *arguments, "--models", str(scene.models)),
        env={**os.environ, **scene.state.environment()},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


async def _ended(process: asyncio.subprocess.Process) -> int:
    """The exit status of a command, whose failure has to be one line that says why."""
    return (await _told(process))[0]


async def _told(process: asyncio.subprocess.Process) -> tuple[int, str]:
    """The exit status of a command and its standard error.

    Raises:
        RuntimeError: it failed and told more than a line that says why, or nothing.
    """
    async with asyncio.timeout(120):
        _, told = await process.communicate()
    text = told.decode()
    if process.returncode and ("Traceback" in text or "genrestream: " not in text):
        raise RuntimeError(f"a release ended with status {process.returncode} and said {text!r}")
    return process.returncode or 0, text


async def _until_followed(scene: Scene, worker: WorkerProcess) -> None:
    """Return once the worker uses the version that the repository says is live."""
    live = Repository(scene.models).live(HEAD)
    wanted = f'model="{HEAD}",task="genres",version="{live.version if live else None}"'
    async with asyncio.timeout(60):
        while wanted not in await asyncio.to_thread(worker.metrics):
            await asyncio.sleep(0.2)


async def clock_jumps(scene: Scene, size: Size) -> None:
    """The worker's wall clock jumps an hour and a month ahead and back, and an hour behind."""
    clock = JumpingClock(scene.folder)
    await scene.start_worker("drill-a", **clock.environment)
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        for offset_s in (3600, 0, 30 * 86_400, -3600, 0):
            async with scene.fault():
                clock.jump(offset_s)
            await asyncio.sleep(size.pause_s)
            if clock.seen_s() != offset_s:
                raise RuntimeError(f"the worker's clock did not jump to {offset_s:+d} s")


async def redis_killed(scene: Scene, size: Size) -> None:
    """Redis is away and comes back with what it had saved last, or nothing."""
    await _outage(scene, size, "redis")


async def kafka_restarted(scene: Scene, size: Size) -> None:
    """The only broker is killed and started again."""
    await _outage(scene, size, "kafka")


async def redis_emptied(scene: Scene, size: Size) -> None:
    """Somebody says FLUSHALL."""
    await scene.start_worker("drill-a")
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        async with scene.fault(), Redis.from_url(scene.state.redis_url) as redis:
            await redis.flushall()
        await asyncio.sleep(size.pause_s)


async def leaders_killed(scene: Scene, size: Size) -> None:
    """Of three brokers, each the leader of a third of the partitions, one after the other is killed."""
    if scene.kafka is None:
        raise RuntimeError("this drill needs a cluster")
    await scene.start_worker("drill-a")
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        for kill in range(max(1, size.kills // 5)):
            broker = scene.kafka.members[kill % len(scene.kafka.members)]
            await asyncio.to_thread(broker.kill)
            async with scene.fault():
                await asyncio.sleep(size.outage_s)
                broker.start()
                await asyncio.to_thread(scene.kafka.wait_in_sync)
        await asyncio.sleep(size.pause_s)


async def label_topic_refuses(scene: Scene, size: Size) -> None:
    """The label topic refuses all writes for good, until an operator mends it and starts the worker again."""
    worker = await scene.start_worker("drill-a")
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        async with scene.fault():
            await asyncio.to_thread(_limit_label_records, scene.state.kafka_bootstrap, 100)
            async with asyncio.timeout(60):
                while worker.poll() is None:
                    await asyncio.sleep(0.1)
            if worker.poll() == 0 or "Kafka refuses to write to catalog.labels" not in worker.last_words():
                raise RuntimeError(f"the worker ended with status {worker.poll()}: {worker.last_words()}")
            await asyncio.sleep(size.outage_s)
            await asyncio.to_thread(
                _limit_label_records, scene.state.kafka_bootstrap, LABELS.max_message_bytes
            )
            await scene.start_worker("drill-a")
        await asyncio.sleep(size.pause_s)


def _limit_label_records(bootstrap: str, max_bytes: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap.split(","))
    try:
        limit = {"max.message.bytes": str(max_bytes)}
        admin.alter_configs([ConfigResource("TOPIC", LABELS.name, configs=limit)])
    finally:
        admin.close()


async def links_disturbed(scene: Scene, size: Size) -> None:
    """The connections to Kafka, Redis and Triton stall, and are cut, one after the other."""
    state, kafka = scene.state, scene.kafka
    if kafka is None:
        raise RuntimeError("this drill needs a broker behind a proxy")
    redis_at = state.redis_url.removeprefix("redis://").partition("/")[0]
    async with (
        proxy(f"127.0.0.1:{kafka.behind_proxy}", scene.kafka_proxy_port) as to_kafka,
        proxy(redis_at) as to_redis,
        proxy(state.triton_url) as to_triton,
    ):
        await scene.start_worker(
            "drill-a",
            KAFKA_BOOTSTRAP=to_kafka.address,
            REDIS_URL=f"redis://{to_redis.address}/0",
            TRITON_URL=to_triton.address,
        )
        async with scene.load(size.rate_per_s):
            await asyncio.sleep(size.pause_s)
            for link in (to_triton, to_redis, to_kafka):
                async with scene.fault():
                    link.stall()
                    await asyncio.sleep(size.outage_s)
                    link.resume()
                await asyncio.sleep(size.pause_s)
                async with scene.fault():
                    for _ in range(5):
                        link.cut()
                        await asyncio.sleep(size.pause_s / 5)
            await asyncio.sleep(size.pause_s)
        await scene.settled()
        await scene.close()


DRILLS: dict[str, Drill] = {
    drill.act.__name__: drill
    for drill in (
        Drill(workers_killed, local),
        Drill(workers_come_and_go, local),
        Drill(triton_killed, local),
        Drill(triton_killed_in_a_release, local),
        Drill(redis_killed, local),
        Drill(redis_emptied, local),
        Drill(kafka_restarted, local),
        Drill(label_topic_refuses, local),
        Drill(clock_jumps, local),
        Drill(leaders_killed, cluster),
        Drill(links_disturbed, proxied),
        Drill(disk_full, on_a_small_disk),
    )
}
