"""Circuit breakers: leave alone what keeps failing, and let one probe decide when to come back.

Source: Michael Nygard, "Release It!", 2nd edition, 2018, chapter 5. Pure: no I/O, no tasks, and the clock is
given. One event loop's tasks may share a breaker; threads may not.

    closed ── `failures` counted failures in a row ──> open for a cool-down ──> half-open: one probe
      ^                                                  ^                          │
      └── the probe gets an answer ──────────────────────┼──────────────────────────┤
                     the cool-down is twice as long ─────┴── the probe fails ───────┘
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Clock = Callable[[], float]


class BreakerState(StrEnum):
    """What a breaker does with an attempt."""

    CLOSED = "closed"
    """Lets it through."""
    OPEN = "open"
    """Refuses it until the cool-down has passed."""
    HALF_OPEN = "half_open"
    """The cool-down has passed: lets one through as a probe, and refuses the others until that one ends."""


class BreakerOpenError(Exception):
    """The attempt was not made: too many have failed. It may be made in `retry_in_s` seconds.

    0 means that a probe is under way, whose end nobody knows.
    """

    def __init__(self, retry_in_s: float) -> None:
        super().__init__(f"too many attempts failed; the next may be made in {retry_in_s:.1f} s")
        self.retry_in_s = retry_in_s


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When a breaker opens, and for how long."""

    failures: int = 8
    """Failures in a row that open it; more than the attempts for one item, so that no single item does."""
    first_open_s: float = 5.0
    """The first cool-down; each failed probe doubles it."""
    longest_open_s: float = 300.0


class Breaker:
    """The breaker of one thing that can fail, such as a server.

    `counted` are the exceptions that count as failures. Any other `Exception` is an answer, like a result:
    the thing is alive. A cancelled attempt says nothing, so that a time limit belongs inside the attempt.
    """

    def __init__(
        self,
        counted: type[Exception] | tuple[type[Exception], ...],
        limits: BreakerLimits | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._counted = counted
        self._limits = limits or BreakerLimits()
        self._clock = clock
        self._in_flight = 0
        self._failures = 0
        self._openings = 0
        self._open_until_s: float | None = None
        self._probing = False

    @property
    def state(self) -> BreakerState:
        """What the next attempt meets."""
        if self._open_until_s is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self._clock() < self._open_until_s else BreakerState.HALF_OPEN

    @property
    def is_as_new(self) -> bool:
        """Whether a new breaker would do the same: nothing failed last, and nothing is in flight."""
        return not self._failures and not self._in_flight and self._open_until_s is None

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Guard one attempt, made inside the `with`. It must end: an endless probe keeps all others out.

        Raises:
            BreakerOpenError: the attempt is not to be made now.
        """
        probe = self._admit()
        self._in_flight += 1
        try:
            yield
        except self._counted:
            self._failed(probe=probe)
            raise
        except Exception:
            self._answered()
            raise
        else:
            self._answered()
        finally:
            self._in_flight -= 1
            if probe:
                self._probing = False

    def _admit(self) -> bool:
        """Whether the attempt is a probe."""
        if self._open_until_s is None:
            return False
        retry_in_s = self._open_until_s - self._clock()
        if retry_in_s > 0:
            raise BreakerOpenError(retry_in_s)
        if self._probing:
            raise BreakerOpenError(0.0)
        self._probing = True
        return True

    def _answered(self) -> None:
        self._failures = 0
        self._openings = 0
        self._open_until_s = None

    def _failed(self, *, probe: bool) -> None:
        self._failures += 1
        # What set out before it opened and fails now tells nothing new.
        if probe or (self._open_until_s is None and self._failures >= self._limits.failures):
            doubled = self._limits.first_open_s * 2.0 ** min(self._openings, 30)
            self._openings += 1
            self._open_until_s = self._clock() + min(self._limits.longest_open_s, doubled)


class Breakers(Generic[Key]):
    """A breaker a key, such as a host, in bounded memory however many keys are seen.

    Only what fails or is in flight is remembered, at most `max_keys` of it; beyond that the key that was not
    tried for longest is forgotten, as if it had never failed.
    """

    def __init__(
        self,
        counted: type[Exception] | tuple[type[Exception], ...],
        limits: BreakerLimits | None = None,
        max_keys: int = 10_000,
        clock: Clock = time.monotonic,
    ) -> None:
        self._new: Callable[[], Breaker] = lambda: Breaker(counted, limits, clock)
        self._max_keys = max_keys
        self._kept: OrderedDict[Key, Breaker] = OrderedDict()

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._kept)

    @property
    def open(self) -> int:
        """Keys that are left alone until an attempt is answered."""
        return sum(breaker.state is not BreakerState.CLOSED for breaker in self._kept.values())

    @contextmanager
    def attempt(self, key: Key) -> Iterator[None]:
        """Guard one attempt at the key, as `Breaker.attempt` does.

        Raises:
            BreakerOpenError: the attempt is not to be made now.
        """
        breaker = self._kept.setdefault(key, self._new())
        self._kept.move_to_end(key)
        try:
            with breaker.attempt():
                yield
        finally:
            if breaker.is_as_new and self._kept.get(key) is breaker:
                del self._kept[key]
            while len(self._kept) > self._max_keys:
                self._kept.popitem(last=False)
