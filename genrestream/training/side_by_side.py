"""Several trainings of the same network at once, each on one thread."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from genrestream.training.device import one_thread
from genrestream.training.errors import TrainingError

Trained = TypeVar("Trained")

Report = Callable[[int], None]
"""Called by a training with its epochs done. Raises TrainingError to end it where another one failed."""


def side_by_side(
    train: Callable[[int, Report], Trained],
    count: int,
    epochs: int,
    device: str,
    progress: Callable[[int, int], None],
) -> list[Trained]:
    """What `train` gives for 0 to `count` - 1, in order; `progress` hears the sum of their `epochs`.

    Raises:
        TrainingError: one of them did; the others are ended.
    """
    epochs_done = [0] * count
    stopped = threading.Event()

    def train_one(number: int) -> Trained:
        def report(done: int) -> None:
            if stopped.is_set():
                raise TrainingError("another part of the training failed")
            epochs_done[number] = done
            progress(sum(epochs_done), count * epochs)

        return train(number, report)

    threads = 1 if device != "cpu" else min(count, len(os.sched_getaffinity(0)))
    # One thread each: the steps are too small to be shared by threads, which would wait for each other.
    with one_thread(), ThreadPoolExecutor(threads) as pool:
        try:
            return list(pool.map(train_one, range(count)))
        except BaseException:
            # Ctrl-C, too, must not wait for threads that train on.
            stopped.set()
            raise
