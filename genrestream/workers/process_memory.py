"""How a worker's processes keep memory: by batches, megabytes come and go many times a second."""

import ctypes
import gc

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
"""glibc's numbers, from malloc.h."""

LARGEST_KEPT_BYTES = 32 * 2**20
"""Arrays up to here come from the heap; glibc takes no more than this."""
KEPT_FREE_BYTES = 128 * 2**20
"""Free memory at the heap's end beyond this goes back to the system."""

YOUNG_OBJECTS = 10_000
"""Objects made since the last look for cycles, before the next."""


def keep_freed_memory() -> None:
    """Let glibc's allocator hand freed memory out again instead of giving it back page by page.

    Clearing fresh pages took a quarter of a recording's features. All threads share one heap: a heap of a
    thread's own is never kept, and what the worker's threads unpickle and send is megabytes. To be called
    before there are threads; elsewhere than on glibc it does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_FREE_BYTES)
        mallopt(M_ARENA_MAX, 1)


def collect_seldom() -> None:
    """Search for cycles less often: modules make a hundred thousand objects that stay while they load."""
    gc.set_threshold(YOUNG_OBJECTS)


def keep_what_is_there() -> None:
    """Leave what is there now out of the search for cycles.

    Reference counts free what an item made; the search took a sixth of a worker's time and found next to
    nothing.
    """
    gc.collect()
    gc.freeze()
