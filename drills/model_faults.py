"""Faults of Triton and of the model repository."""

import asyncio
import os
import sys

from drills.proxy import proxy
from drills.release import train_again
from drills.scene import Scene, Size
from drills.server_faults import outage
from genrestream.ops.worker_process import WorkerProcess
from genrestream.repository import Repository
from genrestream.workers.announce import announce_live

HEAD = "podcast-genres"
RELEASE = ("release", HEAD, "--force")
"""The same graph again beats what is live by nothing."""


async def load_models(scene: Scene) -> None:
    """Load what is live: a Triton that is started anew has no model until somebody does."""
    await announce_live(scene.models, scene.state.kafka_bootstrap, scene.state.triton_url)


async def triton_killed(scene: Scene, size: Size) -> None:
    """Triton is away."""
    await outage(scene, size, "triton", load_models)


async def triton_killed_in_a_release(scene: Scene, size: Size) -> None:
    """Triton is killed in the middle of a release, each time later in it, and the release tried again."""
    worker = await scene.start_worker("drill-a")
    triton = scene.server("triton")
    async with scene.load(size.rate_per_s):
        await asyncio.sleep(size.pause_s)
        for turn in range(max(1, size.kills // 2)):
            await asyncio.to_thread(train_again, scene.models)
            async with scene.fault():
                release = await _genrestream(scene, *RELEASE)
                # The command takes some two seconds, of which Triton is asked in the second one.
                await asyncio.sleep(1.0 + 2.0 * turn / size.kills)
                await asyncio.to_thread(triton.kill)
                done = await _ended(release)
                await asyncio.to_thread(triton.start)
                await load_models(scene)
                if done != 0 and (status := await _ended(await _genrestream(scene, *RELEASE))) != 0:
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
                status, told = await _told(await _genrestream(scene, *RELEASE))
                if status == 0 or "No space left on device" not in told or repository.live(HEAD) != before:
                    raise RuntimeError(f"a release on a full disk ended with status {status}: {told!r}")
                await asyncio.sleep(size.pause_s)
                scene.disk.free()
            if (status := await _ended(await _genrestream(scene, *RELEASE))) != 0:
                raise RuntimeError(f"the release, with room for it, ended with status {status}")
            await _until_followed(scene, worker)
            await asyncio.sleep(size.pause_s)


def _half_a_version_bytes(repository: Repository) -> int:
    live = repository.live(HEAD)
    if live is None:
        raise RuntimeError(f"{HEAD} is not live")
    files = repository.version_dir(live.model, live.version).iterdir()
    return sum(path.stat().st_size for path in files) // 2


async def rebalanced_while_triton_hangs(scene: Scene, size: Size) -> None:
    """A worker whose Triton hangs hands over partitions in the middle of its work, and gets them back."""
    async with proxy(scene.state.triton_url) as to_triton:
        # Less than usual, so that what is in flight is given up: the other worker does it over again.
        await scene.start_worker("drill-a", TRITON_URL=to_triton.address, GENRESTREAM_REBALANCE_DRAIN_S="3")
        async with scene.load(size.rate_per_s):
            await asyncio.sleep(size.pause_s)
            for _ in range(max(1, size.kills // 5)):
                async with scene.fault():
                    to_triton.stall()
                    await asyncio.sleep(size.pause_s)
                    await scene.start_worker("drill-b")
                    await asyncio.sleep(size.outage_s)
                    if (status := await scene.stop_worker("drill-b")) != 0:
                        raise RuntimeError(f"drill-b left with status {status}")
                    to_triton.resume()
                await asyncio.sleep(size.pause_s)
        await scene.settled()
        await scene.close()


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
