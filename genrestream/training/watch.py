"""How long each step of a training takes."""

import time


class Watch:
    """Seconds a step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def lap(self, step: str) -> None:
        """Count the time since the last lap as the step's."""
        now = time.monotonic()
        self.seconds[step] = now - self._since
        self._since = now
