"""The servers and the worker that the demo runs on, for as long as a block lasts."""

import asyncio
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from genrestream.demo.errors import DemoError
from genrestream.demo.screen import Screen
from genrestream.ops.errors import StackError
from genrestream.ops.stack import local_stack, locked
from genrestream.ops.state import StackState
from genrestream.ops.worker_process import WorkerProcess
from genrestream.repository import RepositoryError
from genrestream.schemas import Kind
from genrestream.workers.announce import announce_live
from genrestream.workers.errors import KafkaUnavailableError
from genrestream.workers.topics import BrokerUnavailable, TopicsError, create_topics
from genrestream.workers.triton_control import ModelServerError

WORKER = "demo-worker"


@dataclass(frozen=True, slots=True)
class Stage:
    """What is ready to be played on."""

    state: StackState
    tasks: dict[Kind, frozenset[str]]
    """The live tasks of each kind."""
    worker: WorkerProcess

    def check_worker(self) -> None:
        """Raise `DemoError` when the worker has ended."""
        status = self.worker.poll()
        if status is not None:
            raise DemoError(f"the worker ended with status {status}; its log is {self.worker.log}")


@contextmanager
def fresh_folder(folder: Path) -> Iterator[Path]:
    """An empty folder that no other demo uses meanwhile.

    Raises:
        DemoError: another demo runs in it, or it cannot be written.
    """
    try:
        with locked(folder):
            for entry in folder.iterdir():
                if entry.name == "lock":
                    continue
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
            yield folder
    except StackError as error:
        raise DemoError(f"another demo runs in {folder}") from error
    except OSError as error:
        raise DemoError(f"{folder}: {error.strerror or error}") from error


@contextmanager
def stage(folder: Path, models: Path, media_root: Path, screen: Screen) -> Iterator[Stage]:
    """Servers with topics and announced models, and a worker that is ready; all stopped with the block.

    Raises:
        DemoError: something does not start; one line that names its log.
    """
    with ExitStack() as cleanup:
        try:
            state = cleanup.enter_context(local_stack(folder / "stack", models, report=screen.step))
            create_topics(state.kafka_bootstrap)
            announced = asyncio.run(announce_live(models, state.kafka_bootstrap, state.triton_url))
            tasks: dict[Kind, set[str]] = defaultdict(set)
            for one in announced:
                release = one.announcement.release
                tasks[release.kind].add(release.task)
                screen.step(
                    f"{release.model} version {release.version} is live ({len(release.labels)} labels)"
                )
            worker = _worker(folder, models, media_root, state)
            cleanup.callback(worker.stop)
            worker.wait_ready()
            screen.step(f"worker is ready; metrics at {worker.url}/metrics")
        except (
            StackError,
            TopicsError,
            BrokerUnavailable,
            RepositoryError,
            ModelServerError,
            KafkaUnavailableError,
        ) as error:
            raise DemoError(str(error)) from error
        yield Stage(state, {kind: frozenset(names) for kind, names in tasks.items()}, worker)


def _worker(folder: Path, models: Path, media_root: Path, state: StackState) -> WorkerProcess:
    arguments = ("--models", str(models), "--media-root", str(media_root), "--log-level", "warning")
    worker = WorkerProcess(WORKER, folder / "worker.log", state.environment(), arguments)
    worker.start()
    return worker
