"""Processes: recognised for certain, stopped with what they started, and no others."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genrestream.ops import process

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('up', flush=True); time.sleep(60)"
)
PARENT_OF_ONE = (
    "import subprocess, sys, time; "
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], start_new_session=True); "
    "print('up', flush=True); time.sleep(60)"
)


def start(code: str, folder: Path, marker: str) -> "subprocess.Popen[bytes]":
    """A running Python that has printed its first line."""
    log = folder / "child.log"
    env = {**os.environ, process.MARKER: marker}
    child = process.spawn([sys.executable, "-c", code], env=env, cwd=folder, log=log)
    deadline = time.monotonic() + 30
    while "up" not in log.read_text():
        assert time.monotonic() < deadline, "the child did not start"
        time.sleep(0.01)
    return child


def test_a_stubborn_process_is_killed_after_the_grace(tmp_path):
    """SIGKILL follows SIGTERM, and a process that waits to be reaped does not count as running."""
    child = start(STUBBORN, tmp_path, "marker-stubborn")
    identity = process.identify(child.pid)
    process.terminate([identity], grace_s=0.3)
    assert child.wait(timeout=10) == -signal.SIGKILL
    assert not process.is_running(identity)


def test_a_recycled_pid_is_left_alone(tmp_path):
    """A process with the pid of an earlier one, but another start time, gets no signal."""
    child = start(STUBBORN.replace("SIGTERM", "SIGUSR1"), tmp_path, "marker-recycled")
    try:
        earlier = process.Identity(child.pid, process.identify(child.pid).start_ticks - 1)
        assert not process.is_running(earlier)
        process.terminate([earlier], grace_s=0.2)
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()


def test_a_sweep_finds_children_in_other_sessions_and_nothing_else(tmp_path):
    """The marker is inherited: a grandchild in another session is stopped, another stack's child is not."""
    (tmp_path / "other").mkdir()
    other = start(STUBBORN, tmp_path / "other", "marker-other")
    child = start(PARENT_OF_ONE, tmp_path, "marker-swept")
    try:
        assert len(process.marked("marker-swept")) == 2
        process.sweep("marker-swept", grace_s=2.0)
        assert process.marked("marker-swept") == []
        assert child.wait(timeout=10) == -signal.SIGTERM
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_roots_leave_out_helpers(tmp_path):
    """Only the process whose parent is not of the stack is asked to end."""
    child = start(PARENT_OF_ONE, tmp_path, "marker-roots")
    try:
        assert [found.pid for found in process.roots(process.marked("marker-roots"))] == [child.pid]
    finally:
        process.sweep("marker-roots", grace_s=2.0)
        child.wait()


def test_the_end_of_a_log_is_shown_without_blank_lines(tmp_path):
    """The last lines that say something; none for a file that is not there."""
    log = tmp_path / "server.log"
    log.write_text("first\n\nsecond\n  third\n\n")
    assert process.last_lines(log, 2) == ["second", "  third"]
    assert process.last_lines(tmp_path / "missing.log") == []


def test_memory_is_measured_where_there_is_a_process():
    """A Python takes more than 5 MB; a process that is gone takes nothing."""
    assert process.memory_bytes([process.identify(os.getpid())]) > 5_000_000
    assert process.memory_bytes([process.Identity(2**22 + 1, 1)]) == 0


@pytest.mark.parametrize("pid", [0, 2**22 + 1])
def test_a_pid_without_a_process_is_not_identified(pid):
    """No process has these pids."""
    assert process.identify(pid) is None
