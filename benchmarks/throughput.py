"""Items a second: new ones until the last is labelled and cached, or known ones until the last has ended."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kafka import KafkaConsumer, TopicPartition
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from genrestream.ops.worker_process import WorkerProcess
from genrestream.schemas.topics import LABELS

DEADLINE_S = 300.0
LOOK_EVERY_S = 0.1
COUNT_EVERY_S = 0.02
"""A few hundred known items are answered in less than a second."""
KEYS_A_LOOK = 200
"""Looking must cost nothing: a thousand keys ten times a second took one part in a hundred of the machine."""
PUBLISH = (sys.executable, "-m", "genrestream", "publish", "--media", "file", "--json")


def publish(file: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """The real command, with media as `file://` references."""
    return subprocess.Popen(
        [*PUBLISH, str(file)], env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    )


def warm_up(file: Path, worker: WorkerProcess, environment: Mapping[str, str]) -> None:
    """Have the items of `file` labelled, and wait until the worker has nothing to do.

    Raises:
        RuntimeError: the publisher failed.
    """
    _await_end(publish(file, environment))
    finished = -1
    while finished != (finished := _finished(worker)):
        time.sleep(1.5)  # Longer than the worker shows one page of its metrics.


def items_per_s(file: Path, keys: Sequence[str], environment: Mapping[str, str], redis: Redis) -> float:
    """Items a second of `file`, published while they are labelled; `keys` are where Redis gets their labels.

    The clock starts with the first item that is there, so that the publisher's start is not in it. Redis is
    asked, and not the worker: reading its metrics many times a second would slow down what is measured.

    Raises:
        TimeoutError: not everything was labelled within the deadline.
        RuntimeError: the publisher failed.
    """
    publisher = publish(file, environment)
    give_up_s = time.monotonic() + DEADLINE_S
    while not (first := _count(redis, keys)):
        _sleep(give_up_s)
    started_s = time.monotonic()
    waited_for = list(keys)
    while waited_for:
        # Items end about in the order of their publishing: the last one tells when to count.
        last = waited_for[-KEYS_A_LOOK:]
        if redis.exists(last[-1]) and _count(redis, last) == len(last):
            del waited_for[-KEYS_A_LOOK:]
        else:
            _sleep(give_up_s)
    ended_s = time.monotonic()
    _await_end(publisher)
    return (len(keys) - first) / (ended_s - started_s)


def again_per_s(file: Path, count: int, worker: WorkerProcess, environment: Mapping[str, str]) -> float:
    """Items a second of `file`, all `count` of which have been labelled before and are answered by that.

    Redis shows no difference at first sight, so the records of the label topic are counted.

    Raises:
        TimeoutError: not everything came to its end within the deadline.
        RuntimeError: the publisher failed, or more than one in a hundred was labelled anew.
    """
    reused_before = _total(worker, "genrestream_items_reused_total")
    with _label_topic(environment["KAFKA_BOOTSTRAP"]) as records:
        before = records()
        publisher = publish(file, environment)
        give_up_s = time.monotonic() + DEADLINE_S
        while not (first := records() - before):
            _sleep(give_up_s, COUNT_EVERY_S)
        started_s = time.monotonic()
        while records() - before < count:
            _sleep(give_up_s, COUNT_EVERY_S)
        ended_s = time.monotonic()
    _await_end(publisher)
    time.sleep(1.5)  # Longer than the worker shows one page of its metrics.
    reused = _total(worker, "genrestream_items_reused_total") - reused_before
    if reused < 0.99 * count:
        raise RuntimeError(f"only {reused} of {count} items were answered by their earlier labels")
    return (count - first) / (ended_s - started_s)


@contextmanager
def _label_topic(bootstrap: str) -> Iterator[Callable[[], int]]:
    """How many records the label topic has had by now, each time it is called."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap.split(","))
    partitions = [TopicPartition(LABELS.name, number) for number in range(LABELS.partitions)]
    try:
        yield lambda: sum(consumer.end_offsets(partitions).values())
    finally:
        consumer.close()


def _count(redis: Redis, keys: Sequence[str]) -> int:
    """How many of the keys are there."""
    parts = (keys[start : start + KEYS_A_LOOK] for start in range(0, len(keys), KEYS_A_LOOK))
    return sum(int(redis.exists(*part)) for part in parts)


def _sleep(give_up_s: float, duration_s: float = LOOK_EVERY_S) -> None:
    if time.monotonic() > give_up_s:
        raise TimeoutError(f"not every item was labelled in {DEADLINE_S:g} s; see the worker's log")
    time.sleep(duration_s)


def _await_end(publisher: subprocess.Popen[bytes]) -> None:
    if publisher.wait(DEADLINE_S) != 0:
        raise RuntimeError(f"publish ended with status {publisher.returncode}")


def _finished(worker: WorkerProcess) -> int:
    """Messages that have ended, whatever the outcome."""
    return _total(worker, "genrestream_items_total")


def _total(worker: WorkerProcess, name: str) -> int:
    """A counter over all its labels."""
    return sum(
        round(sample.value)
        for family in text_string_to_metric_families(worker.metrics())
        for sample in family.samples
        if sample.name == name
    )
