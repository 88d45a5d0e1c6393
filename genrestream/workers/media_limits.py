"""Bounds on reading media, and the verdicts that they lead to."""

from dataclasses import dataclass

from genrestream.schemas import MissingReason
from genrestream.workers.errors import MediaUnavailable


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """The most that reading one picture or recording may take, and how many are read at the same time."""

    max_bytes: int = 32 * 2**20
    """Bytes of one medium."""
    total_s: float = 15.0
    """Time of one attempt, from the first connection to the last byte, redirects included."""
    budget_s: float = 20.0
    """Time for all attempts over HTTP and the waits between them."""
    max_attempts: int = 5
    """Attempts over HTTP: with the usual backoff over in 7.5 s at most when each fails at once."""
    queue_s: float = 15.0
    """Time to wait for places among the requests in flight; neither of the above runs meanwhile."""
    connect_s: float = 5.0
    """Time for one connection, name look-up and TLS included."""
    slow_after_s: float = 5.0
    """Time that a body over HTTP may take at any speed."""
    min_bytes_per_s: int = 16 * 1024
    """The least speed of a body over HTTP after that, on average since its beginning."""
    max_redirects: int = 5
    max_in_flight: int = 128
    """Requests over HTTP in all, and look-ups of names."""
    max_in_flight_per_host: int = 16
    """Requests to one host, so that a slow one holds up nobody else."""
    max_threads: int = 16
    """Files and objects read at the same time."""

    def too_large(self, found_bytes: int) -> MediaUnavailable:
        """The verdict on a medium of so many bytes."""
        detail = f"the medium has {found_bytes:,} bytes, allowed are {self.max_bytes:,}"
        return MediaUnavailable(MissingReason.TOO_LARGE, detail)

    def endless(self) -> MediaUnavailable:
        """The verdict on a medium that was still going on at the limit."""
        detail = f"the medium has more than {self.max_bytes:,} bytes"
        return MediaUnavailable(MissingReason.TOO_LARGE, detail)

    def patience_s(self, read_bytes: int) -> float:
        """The time after which a body over HTTP with only so many bytes is too slow."""
        return max(self.slow_after_s, read_bytes / self.min_bytes_per_s)

    def too_slow(self) -> MediaUnavailable:
        """The verdict on a medium that comes too slowly."""
        detail = f"the medium comes too slowly (at least {self.min_bytes_per_s:,} bytes/s are asked for)"
        return MediaUnavailable(MissingReason.TIMEOUT, detail)

    def timed_out(self) -> MediaUnavailable:
        """The verdict on a medium that was not there in time."""
        return MediaUnavailable(
            MissingReason.TIMEOUT, f"the medium was not there in time (allowed {self.total_s:g} s)"
        )
