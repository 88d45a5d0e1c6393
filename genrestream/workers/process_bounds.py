"""What a process that decodes strangers' files may do: less than the worker, and for good."""

import ctypes
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PR_SET_NO_NEW_PRIVS = 38
"""From <linux/prctl.h>."""

FIRST_TO_GO = "1000"
"""The highest score (man proc_pid_oom_score_adj)."""


def give_up_rights() -> None:
    """Write no file, leave no core dump, gain no privilege by executing anything.

    And when the machine or the container runs out of memory, be what the kernel ends, before the worker.
    Pipes stay open to it; standard error too, unless that is a file.
    """
    # Where /proc is hidden, the kernel chooses by size alone.
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs is refused")


@contextmanager
def address_space(limit_bytes: int) -> Iterator[None]:
    """At most so much address space inside; what needs more fails, in Python with a MemoryError.

    Only the soft limit moves. A limit that was lower before stays.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    lower = limit_bytes if soft == resource.RLIM_INFINITY else min(limit_bytes, soft)
    resource.setrlimit(resource.RLIMIT_AS, (lower, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
