"""Worker processes beside a local stack, for the demo, the tests and the benchmark."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from genrestream.ops.errors import StackError
from genrestream.ops.ports import Ports

READY_DEADLINE_S = 60.0
STOP_DEADLINE_S = 30.0


class WorkerProcess:
    """`genrestream worker` in a process of its own; its output goes to `log`.

    `environment` is added to this process's own: the stack's addresses, and with its marker the worker is
    stopped together with the stack, whatever happens here.
    """

    def __init__(
        self, name: str, log: Path, environment: Mapping[str, str], arguments: Sequence[str] = ()
    ) -> None:
        self.name = name
        self.log = log
        self.http_port = Ports(usual=False).choose()
        self._environment = {**os.environ, **environment}
        self._arguments = ("--name", name, "--http-port", str(self.http_port), *arguments)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, again after it has ended; the log goes on."""
        command = [sys.executable, "-m", "genrestream", "worker", *self._arguments]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def wait_ready(self, deadline_s: float = READY_DEADLINE_S) -> None:
        """Return once it reads and can label.

        Raises:
            StackError: it ended, or was not ready in time; the text names the log and its last line.
        """
        give_up_s = time.monotonic() + deadline_s
        reason = "it does not answer"
        while time.monotonic() < give_up_s:
            if (status := self.poll()) is not None:
                raise StackError(f"worker {self.name} ended with status {status}: {self.last_words()}")
            try:
                with urllib.request.urlopen(f"{self.url}/health/ready", timeout=2):  # noqa: S310 - http
                    return
            except urllib.error.HTTPError as error:
                reason = error.read(1000).decode(errors="replace")
            except OSError:
                pass
            time.sleep(0.1)
        raise StackError(f"worker {self.name} is not ready after {deadline_s:g} s: {reason}; see {self.log}")

    @property
    def url(self) -> str:
        """Where metrics and health are."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._running().pid

    def metrics(self) -> str:
        """The text of its metrics."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:  # noqa: S310 - http
            text: str = answer.read().decode()
        return text

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        return self._running().poll()

    def kill(self) -> None:
        """End it as a crash would (kill -9)."""
        self._running().kill()
        self._running().wait()

    def stop(self, deadline_s: float = STOP_DEADLINE_S) -> int:
        """Ask it to drain and end; the exit status, -9 when it had to be killed."""
        process = self._running()
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return process.returncode

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise StackError(f"worker {self.name} was not started")
        return self._process

    def last_words(self) -> str:
        """The last line of its log, and where the rest is."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return f"{lines[-1] if lines else 'it said nothing'} ({self.log})"
