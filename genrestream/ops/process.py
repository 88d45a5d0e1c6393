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
from typing import NamedTuple

MARKER = "GENRESTREAM_STACK"
"""The environment variable that holds a stack's id."""

POLL_S = 0.05
STOP_GRACE_S = 20.0
"""From SIGTERM to SIGKILL; Kafka takes about 2 s to close its logs, a loaded Triton 5 s."""

HELPER_GRACE_S = 2.0
"""What helpers, such as Triton's stubs, have to notice that their parent is gone."""

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - POSIX shared memory, not a temporary file

SWEEPS = 10
"""How often to look for processes that were started meanwhile; one in an uninterruptible wait stays."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One process, for all time on this boot."""

    pid: int
    start_ticks: int
    """Field 22 of /proc/PID/stat: when it started, in clock ticks since boot."""


class _Stat(NamedTuple):
    """What is needed of /proc/PID/stat."""

    state: str
    parent: int
    start_ticks: int


def _stat(pid: int) -> _Stat | None:
    """None where there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the name in brackets, and may itself hold brackets and blanks.
    fields = text[text.rindex(")") + 2 :].split()
    return _Stat(state=fields[0], parent=int(fields[1]), start_ticks=int(fields[19]))


def identify(pid: int) -> Identity | None:
    """The identity of a running process."""
    found = _stat(pid)
    return Identity(pid, found.start_ticks) if found and found.state not in "ZX" else None


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


def roots(processes: Collection[Identity]) -> list[Identity]:
    """Those whose parent is not among them: a server or worker without the helpers that it looks after."""
    pids = {process.pid for process in processes}
    return [process for process in processes if _parent_of(process) not in pids]


def _parent_of(process: Identity) -> int | None:
    found = _stat(process.pid)
    return found.parent if found else None


def shared_memory_prefix(marker: str) -> str:
    """How the names of a stack's files in /dev/shm begin."""
    return f"genrestream-{marker}-"


def sweep(marker: str, grace_s: float = STOP_GRACE_S) -> None:
    """Stops every process that carries the marker, also those started meanwhile, and frees its shared memory.

    SIGTERM goes to the roots alone, so that they end their helpers in their own way; SIGKILL to all that is
    left.
    """
    terminate(roots(marked(marker)), grace_s)
    wait_gone(marked(marker), HELPER_GRACE_S)
    for _ in range(SWEEPS):
        left = marked(marker)
        if not left:
            break
        for process in left:
            send(process, signal.SIGKILL)
        wait_gone(left, HELPER_GRACE_S)
    # Triton removes its own at an orderly end only.
    for file in SHARED_MEMORY.glob(f"{shared_memory_prefix(marker)}*"):
        file.unlink(missing_ok=True)


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
