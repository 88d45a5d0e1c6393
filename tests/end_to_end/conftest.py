"""Workers on the session's stack, with the committed starter models announced."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from genrestream.cli.addresses import Addresses
from genrestream.ops.state import StackState
from genrestream.ops.worker_process import WorkerProcess
from genrestream.sample import generate
from genrestream.workers.announce import announce_live
from tests.end_to_end.harness import Outside, watching

StartWorker = Callable[..., WorkerProcess]

SHORT_SESSION = {"GENRESTREAM_SESSION_TIMEOUT_S": "6"}
"""A worker that does not come back frees its partitions after this; with the default, tests wait for 30 s."""


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample catalogue that no model was trained on."""
    folder = tmp_path_factory.mktemp("sample")
    generate(folder, items_per_kind=60, seed=99)
    return folder


@pytest.fixture(scope="session")
def announced(stack: StackState, models_dir: Path) -> None:
    """The committed models are loaded and announced."""
    asyncio.run(announce_live(models_dir, stack.kafka_bootstrap, stack.triton_url))


@pytest.fixture
def start_worker(
    stack: StackState, announced: None, models_dir: Path, sample: Path, tmp_path: Path
) -> Iterator[StartWorker]:
    """Starts workers by name, with settings as variables, and waits for them; stopped after the test."""
    workers: list[WorkerProcess] = []

    def start(name: str, *arguments: str, ready: bool = True, **settings: str) -> WorkerProcess:
        shared = ("--models", str(models_dir), "--media-root", str(sample))
        environment = {**stack.environment(), **SHORT_SESSION, **settings}
        # Two of one name have a log each, or the last line of one would be taken for the other's.
        log = tmp_path / f"{name}-{len(workers)}.log"
        worker = WorkerProcess(name, log, environment, (*shared, *arguments))
        workers.append(worker)
        worker.start()
        if ready:
            worker.wait_ready()
        return worker

    yield start
    for worker in workers:
        if worker.poll() is None:
            worker.stop()


@pytest.fixture
async def outside(addresses: Addresses) -> AsyncIterator[Outside]:
    """What ingest teams and recommenders can do, and all that came out since the test began."""
    async with watching(addresses) as somebody:
        yield somebody
