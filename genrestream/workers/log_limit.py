"""What client libraries repeat hundreds of times a second while a server is away, written now and then."""

import logging
import time

EVERY_S = 10.0
MAX_MESSAGES = 1000
"""Different messages that are remembered; beyond it all are forgotten, and told once more."""
LIBRARIES = ("aiokafka", "faust", "mode", "kafka")


class SeldomRepeated(logging.Filter):
    """Lets a library's message through once in `EVERY_S`, and then says how many like it there were."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written; the same template counts as the same message."""
        if record.name.partition(".")[0] not in LIBRARIES or record.levelno >= logging.CRITICAL:
            return True
        key = (record.name, str(record.msg))
        since_s, held_back = self._seen.get(key, (-EVERY_S, 0))
        if time.monotonic() - since_s < EVERY_S:
            self._seen[key] = (since_s, held_back + 1)
            return False
        if len(self._seen) >= MAX_MESSAGES:
            self._seen.clear()
        self._seen[key] = (time.monotonic(), 0)
        if held_back:
            record.msg = f"{record.getMessage()} ({held_back} more like it)"
            record.args = ()
        return True
