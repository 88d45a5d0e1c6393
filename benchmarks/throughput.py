"""Items a second, from the start of the publisher to the last item labelled and cached."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from genrestream.ops.worker_process import WorkerProcess

DEADLINE_S = 300.0
LOOK_EVERY_S = 0.2
"""Reading the metrics costs the worker some 5 ms: once in 0.2 s takes 2 % of what is measured."""
PUBLISH = (sys.executable, "-m", "genrestream", "publish", "--media", "file", "--json")


def publish(file: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """The real command, with media as `file://` references."""
    return subprocess.Popen(
        [*PUBLISH, str(file)], env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    )


def items_per_s(
    warm_up: Path, file: Path, items: int, worker: WorkerProcess, environment: Mapping[str, str]
) -> float:
    """Items a second of `file`, published while they are labelled; `warm_up` goes before and does not count.

    The clock starts with the first message that ends, so that the publisher's start is not in it.

    Raises:
        TimeoutError: not everything ended within the deadline.
        RuntimeError: the publisher failed.
    """
    _run(warm_up, environment)
    _settle(worker)
    before = _finished(worker)
    publisher = publish(file, environment)
    started_s = _wait_until(worker, before + 1)
    first = _finished(worker) - before
    ended_s = _wait_until(worker, before + items)
    if publisher.wait(DEADLINE_S) != 0:
        raise RuntimeError(f"publish ended with status {publisher.returncode}")
    return (items - first) / (ended_s - started_s)


def _run(file: Path, environment: Mapping[str, str]) -> None:
    if publish(file, environment).wait(DEADLINE_S) != 0:
        raise RuntimeError(f"cannot publish {file}")


def _settle(worker: WorkerProcess) -> None:
    """Wait until nothing ends any more: what was published before is done."""
    finished = -1
    while finished != (finished := _finished(worker)):
        time.sleep(1.0)


def _finished(worker: WorkerProcess) -> int:
    """Messages that have ended, whatever the outcome."""
    return sum(
        round(sample.value)
        for family in text_string_to_metric_families(worker.metrics())
        for sample in family.samples
        if sample.name == "genrestream_items_total"
    )


def _wait_until(worker: WorkerProcess, finished: int) -> float:
    """The monotonic time of the look that saw so many messages ended."""
    give_up_s = time.monotonic() + DEADLINE_S
    while (seen := _finished(worker)) < finished:
        if time.monotonic() > give_up_s:
            raise TimeoutError(f"{seen} of {finished} messages after {DEADLINE_S:g} s; see {worker.log}")
        time.sleep(LOOK_EVERY_S)
    return time.monotonic()
