"""A wall clock that jumps, for all Python code of a worker and its feature processes."""

import struct
from pathlib import Path


class JumpingClock:
    """The clock of every process that has `environment`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock-offset"
        self._file.write_bytes(bytes(16))

    @property
    def environment(self) -> dict[str, str]:
        """What a process has to be started with."""
        return {
            "PYTHONPATH": str(Path(__file__).parent / "jumping_clock"),
            "DRILL_CLOCK": str(self._file),
        }

    def jump(self, offset_s: int) -> None:
        """From now on the clock is so many seconds ahead, or behind where negative."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("<q", offset_s))

    def seen_s(self) -> int:
        """The offset that a process saw when it last looked at its clock."""
        (seen_s,) = struct.unpack("<q", self._file.read_bytes()[8:])
        return int(seen_s)
