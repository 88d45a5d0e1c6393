"""Stops a stack when the process that runs it dies without doing so, by kill -9 for one.

`python -m genrestream.ops.watchdog PARENT_PID MARKER`: waits until the parent is gone, then stops every
process that carries the marker. It runs in a session of its own and ends by itself.
"""

import os
import signal
import subprocess
import sys
import time

from genrestream.ops import process

POLL_S = 0.2


def watch(parent_pid: int, marker: str) -> None:
    """Returns once the parent is gone and nothing carries the marker."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # An orphan gets another parent: that needs neither a pipe, which a forked child of the parent would
    # hold open, nor the parent-death signal, which follows the thread that started us.
    while os.getppid() == parent_pid:
        time.sleep(POLL_S)
    process.sweep(marker, grace_s=10.0)


def start(marker: str) -> subprocess.Popen[bytes]:
    """A watchdog over this process."""
    # Without the marker: it must not stop itself.
    environment = {name: value for name, value in os.environ.items() if name != process.MARKER}
    return subprocess.Popen(
        [sys.executable, "-m", "genrestream.ops.watchdog", str(os.getpid()), marker],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


if __name__ == "__main__":
    watch(int(sys.argv[1]), sys.argv[2])
