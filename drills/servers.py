"""Killing and restarting the servers of a stack: the same command, folder and environment as before."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from genrestream.ops import kafka, redis, triton
from genrestream.ops.state import StackState

READY_S = 60.0
READY = {
    "kafka": lambda state: kafka.answers(state.kafka_bootstrap),
    "redis": lambda state: redis.answers(state.redis_url),
    "triton": lambda state: triton.answers_grpc(state.triton_url),
}


class RestartableServer:
    """One server that a stack has started."""

    def __init__(self, state: StackState, name: str) -> None:
        started = next(server for server in state.servers if server.name == name)
        folder = Path(f"/proc/{started.pid}")
        self._state = state
        self._name = name
        self._pid = started.pid
        self._argv = (folder / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        entries = (folder / "environ").read_bytes().rstrip(b"\0").split(b"\0")
        self._environment = dict(entry.split(b"=", 1) for entry in entries if b"=" in entry)
        self._cwd = os.readlink(folder / "cwd")
        self._log = Path(started.log)
        self._process: subprocess.Popen[bytes] | None = None

    def kill(self) -> None:
        """End it as a crash would, with its helpers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        while Path(f"/proc/{self._pid}").exists() and not self._is_zombie():
            time.sleep(0.02)

    def start(self) -> None:
        """Start it again and return once it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv,
                env=self._environment,
                cwd=self._cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._pid = self._process.pid
        give_up_s = time.monotonic() + READY_S
        while not READY[self._name](self._state):
            if self._process.poll() is not None or time.monotonic() > give_up_s:
                raise RuntimeError(f"{self._name} does not come back; its log is {self._log}")
            time.sleep(0.1)

    def _is_zombie(self) -> bool:
        with contextlib.suppress(OSError):
            return Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        return True
