"""Items a second, from the start of the publisher to the last item labelled and cached."""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.worker_process import Worker

DEADLINE_S = 300.0
PUBLISH = (sys.executable, "-m", "genrestream", "publish", "--media", "file", "--json")


def publish(file: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """The real command, with media as `file://` references."""
    return subprocess.Popen([*PUBLISH, str(file)], env=dict(environment), stdout=subprocess.DEVNULL)


def items_per_s(
    warm_up: Path, file: Path, items: int, worker: Worker, environment: Mapping[str, str]
) -> float:
    """Items a second of `file`, published while they are labelled; `warm_up` goes before and does not count.

    The clock starts with the first message that ends, so that the publisher's start is not in it.

    Raises:
        TimeoutError: not everything ended within the deadline.
        RuntimeError: the publisher failed.
    """
    _run(warm_up, environment)
    _settle(worker)
    before = worker.finished()
    publisher = publish(file, environment)
    started_s = worker.wait_until(before + 1, DEADLINE_S)
    first = worker.finished() - before
    ended_s = worker.wait_until(before + items, DEADLINE_S)
    if publisher.wait(DEADLINE_S) != 0:
        raise RuntimeError(f"publish ended with status {publisher.returncode}")
    return (items - first) / (ended_s - started_s)


def _run(file: Path, environment: Mapping[str, str]) -> None:
    if publish(file, environment).wait(DEADLINE_S) != 0:
        raise RuntimeError(f"cannot publish {file}")


def _settle(worker: Worker) -> None:
    """Wait until nothing ends any more: what was published before is done."""
    finished = -1
    while finished != (finished := worker.finished()):
        time.sleep(1.0)
