"""Starting, recognising and stopping processes: only ever those that a stack started.

A stack marks its processes with an environment variable, which their children inherit. A process is also
known by its pid and start time together, so that a recycled pid is never taken for it, and signals go
through a pidfd that is opened before the check. Standard library only: the watchdog runs this.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MARKER = "GENRESTREAM_STACK"
"""The environment variable that holds a stack's id."""

POLL_S = 0.05
STOP_GRACE_S = 20.0
"""From SIGTERM to SIGKILL; Kafka takes about 2 s to close its logs, a loaded Triton 5 s."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, for all time on this boot."""

    pid: int
    start_ticks: int
    """Field 22 of /proc/PID/stat: when it started, in clock ticks since boot."""


def _stat(pid: int) -> tuple[str, int] | None:
    """State and start time, or None where there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the name in brackets, and may itself hold brackets and blanks.
    fields = text[text.rindex(")") + 2 :].split()
    return fields[0], int(fields[19])


def identify(pid: int) -> Identity | None:
    """The identity of a running process."""
    found = _stat(pid)
    return Identity(pid, found[1]) if found and found[0] not in "ZX" else None


def is_running(process: Identity) -> bool:
    """Whether it still runs; a zombie does not."""
    return identify(process.pid) == process


def marked(marker: str) -> list[Identity]:
    """All running processes that carry a stack's marker, but for this one."""
    wanted = f"{MARKER}={marker}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        identity = identify(int(entry))
        try:
            environment = Path(f"/proc/{entry}/environ").read_bytes()
        except OSError:  # gone meanwhile, or another user's
            continue
        if identity and wanted in environment.split(b"\0"):
            found.append(identity)
    return found


def session_of(process: Identity) -> int | None:
    """The id of its session, which is the pid of the server that it belongs to."""
    try:
        return os.getsid(process.pid)
    except ProcessLookupError:
        return None


def spawn(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> subprocess.Popen[bytes]:
    """The started process, in a session of its own, its output appended to `log`.

    Raises `OSError` when it cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=dict(env),
            start_new_session=True,
        )


def send(process: Identity, number: signal.Signals) -> None:
    """Signals the process if it is still the same one."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return
    except OSError:  # a kernel without pidfd: the check and the signal are two steps then
        if is_running(process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
        return
    try:
        if is_running(process):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)


def wait_gone(processes: Collection[Identity], timeout_s: float) -> list[Identity]:
    """Those still running when all are gone or the time is over."""
    deadline = time.monotonic() + timeout_s
    left = [process for process in processes if is_running(process)]
    while left and time.monotonic() < deadline:
        time.sleep(POLL_S)
        left = [process for process in left if is_running(process)]
    return left


def terminate(processes: Collection[Identity], grace_s: float = STOP_GRACE_S) -> None:
    """Stops the processes: SIGTERM, and SIGKILL to those that are left after the grace."""
    for process in processes:
        send(process, signal.SIGTERM)
    for process in wait_gone(processes, grace_s):
        send(process, signal.SIGKILL)


def sweep(marker: str, grace_s: float = STOP_GRACE_S) -> None:
    """Stops every process that carries the marker, also those started meanwhile."""
    while left := marked(marker):
        terminate(left, grace_s)
        wait_gone(left, 5.0)
        grace_s = 0.0


def last_lines(log: Path, count: int = 5, max_bytes: int = 16_384) -> list[str]:
    """The end of a log, without blank lines."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - max_bytes))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]


def memory_bytes(processes: Collection[Identity]) -> int:
    """Memory that the processes take together: proportional set size, shared pages counted once."""
    total = 0
    for process in processes:
        try:
            text = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
    return total
