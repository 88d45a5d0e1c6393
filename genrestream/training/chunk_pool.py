"""Chunks of items through a pool of processes, in order and a bounded number ahead."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from pebble import ProcessPool

from genrestream.training.encode_chunk import start_process
from genrestream.training.launch import launched

CHUNK_ITEMS = 16
CHUNK_DEADLINE_S = 300.0
CHUNKS_AHEAD = 3
"""Chunks scheduled a process: enough that none waits, few enough that memory stays small."""
MAX_PROCESSES = 64

Item = TypeVar("Item")
Pending = TypeVar("Pending")
Result = TypeVar("Result")


def through_pool(
    items: Sequence[Item],
    schedule: Callable[[ProcessPool, Sequence[Item]], Pending],
    finish: Callable[[ProcessPool, Pending], Result],
) -> Iterator[Result]:
    """What `finish` makes of each chunk that `schedule` gave to the pool, a process for each core.

    Processes that torchrun started on one machine share its cores.
    """
    if not items:
        return
    cores = max(1, len(os.sched_getaffinity(0)) // launched().local_count)
    processes = min(cores, MAX_PROCESSES, -(-len(items) // CHUNK_ITEMS))
    context = multiprocessing.get_context("forkserver")
    # One server forks the processes of all pools: it loads what the largest of them needs.
    context.set_forkserver_preload([start_process.__module__])
    pool = ProcessPool(max_workers=processes, initializer=start_process, context=context)
    ahead: deque[Pending] = deque()
    try:
        for start in range(0, len(items), CHUNK_ITEMS):
            ahead.append(schedule(pool, items[start : start + CHUNK_ITEMS]))
            if len(ahead) >= CHUNKS_AHEAD * processes:
                yield finish(pool, ahead.popleft())
        while ahead:
            yield finish(pool, ahead.popleft())
        pool.close()  # type: ignore[no-untyped-call]
    finally:
        if ahead or pool.active:
            pool.stop()  # type: ignore[no-untyped-call]
        pool.join()
