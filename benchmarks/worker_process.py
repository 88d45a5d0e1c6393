"""A real worker beside the local stack, and what its metrics say."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

READY_DEADLINE_S = 60.0


class Worker:
    """`genrestream worker` in a process of its own."""

    def __init__(self, address: str) -> None:
        self._address = address

    def finished(self) -> int:
        """Messages that have ended, whatever the outcome."""
        with urllib.request.urlopen(f"http://{self._address}/metrics", timeout=10) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        return sum(
            round(sample.value)
            for family in families
            for sample in family.samples
            if sample.name == "genrestream_items_total"
        )

    def wait_until(self, finished: int, deadline_s: float) -> float:
        """Wait until so many messages have ended; the monotonic time of the look that saw it."""
        give_up_s = time.monotonic() + deadline_s
        while self.finished() < finished:
            if time.monotonic() > give_up_s:
                raise TimeoutError(f"{self.finished()} of {finished} messages after {deadline_s:g} s")
            time.sleep(0.05)
        return time.monotonic()


@contextmanager
def running_worker(
    environment: Mapping[str, str], models: Path, media_root: Path, port: int, log: Path
) -> Iterator[Worker]:
    """A worker that is ready, stopped at the end of the block."""
    command = [sys.executable, "-m", "genrestream", "worker", "--models", str(models)]
    command += ["--media-root", str(media_root), "--http-port", str(port), "--name", f"bench-{port}"]
    with log.open("w") as output:
        process = subprocess.Popen(command, env=dict(environment), stdout=output, stderr=output)
        try:
            _wait_ready(process, port, log)
            yield Worker(f"127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(30)


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    give_up_s = time.monotonic() + READY_DEADLINE_S
    while time.monotonic() < give_up_s:
        if process.poll() is not None:
            raise RuntimeError(f"the worker ended with status {process.returncode}; see {log}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(f"the worker was not ready after {READY_DEADLINE_S:g} s; see {log}")
