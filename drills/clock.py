"""A wall clock that jumps, for one worker: libfaketime reads the offset from a file at every look at it.

The monotonic clock goes on, as it does when an operator or NTP sets a machine's time.
"""

from importlib.util import find_spec
from pathlib import Path

LIBRARY = "vendor/libfaketime/src/libfaketime.so.1"


class JumpingClock:
    """The clock of every process that has `environment`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock-offset"
        self.jump(0)

    @property
    def environment(self) -> dict[str, str]:
        """What a process has to be started with.

        Raises:
            RuntimeError: the package libfaketime is not installed.
        """
        package = find_spec("libfaketime")
        if package is None or not package.submodule_search_locations:
            raise RuntimeError("the package libfaketime is not installed: make setup-training")
        return {
            "LD_PRELOAD": str(Path(package.submodule_search_locations[0]) / LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, offset_s: int) -> None:
        """From now on the clock is so many seconds ahead, or behind where negative."""
        # Written beside it and moved: a reader never finds half a number.
        fresh = self._file.with_suffix(".fresh")
        fresh.write_text(f"{offset_s:+d}\n")
        fresh.replace(self._file)
