"""Commands that the demo runs beside itself or before the live part; none of them outlives it."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from genrestream.demo.errors import DemoError
from genrestream.demo.screen import Screen
from genrestream.ops import process, watchdog

_GRACE_S = 10.0
_TELL_EVERY_S = 30.0
_LOG_COLUMNS = "160"


class Helpers:
    """Starts Python modules; `helpers` ends what is left of them."""

    def __init__(self, marker: str, screen: Screen) -> None:
        self._screen = screen
        self._environment = {**os.environ, process.MARKER: marker}
        if not screen.console.is_terminal:
            # Their tables would be squeezed into 80 columns.
            self._environment.setdefault("COLUMNS", _LOG_COLUMNS)

    def start(self, module: str, *arguments: str) -> "subprocess.Popen[bytes]":
        """`python -m module`, in this terminal, so that its progress is seen.

        In a session of its own: Ctrl-C reaches the demo alone, which then ends its helpers in order.
        """
        sys.stdout.flush()
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def finish(self, helper: "subprocess.Popen[bytes]", complaint: str) -> None:
        """Wait until it has ended well.

        Raises:
            DemoError: it failed; it has told why itself.
        """
        began_s = time.monotonic()
        while helper.poll() is None:
            try:
                helper.wait(_TELL_EVERY_S)
            except subprocess.TimeoutExpired:
                # On a terminal the helper's own bar shows how far it is.
                if not self._screen.console.is_terminal:
                    self._screen.step(f"still at it after {time.monotonic() - began_s:.0f} s")
        if helper.returncode != 0:
            raise DemoError(f"{complaint} (exit status {helper.returncode})")

    def run(self, complaint: str, *command: str) -> None:
        """Run a `genrestream` command to its end.

        Raises:
            DemoError: it failed; it has told why itself.
        """
        self.finish(self.start("genrestream", *command), complaint)


@contextmanager
def helpers(screen: Screen) -> Iterator[Helpers]:
    """What was started in the block ends with it, children and all; also when this process is killed."""
    marker = uuid.uuid4().hex
    guard = watchdog.start(marker)
    try:
        yield Helpers(marker, screen)
    finally:
        # Should a second Ctrl-C break this off, the watchdog goes on with it.
        process.sweep(marker, _GRACE_S)
        guard.kill()
        guard.wait()
