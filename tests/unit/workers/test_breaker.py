"""Breakers, on a clock that the test turns."""

import asyncio

import pytest

from genrestream.workers.breaker import Breaker, BreakerLimits, BreakerOpenError, Breakers, BreakerState

LIMITS = BreakerLimits(failures=3, first_open_s=10, longest_open_s=35)


class Down(Exception):  # noqa: N818 - a stand-in
    """Counts as a failure."""


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(Down, LIMITS, clock)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(Down), breaker.attempt():
            raise Down


def work(breaker: Breaker) -> None:
    with breaker.attempt():
        pass


def refused_for_s(breaker: Breaker) -> float:
    with pytest.raises(BreakerOpenError) as raised, breaker.attempt():
        pytest.fail("the attempt was let through")
    return raised.value.retry_in_s


def test_failures_in_a_row_open_it(breaker: Breaker, clock: Clock) -> None:
    """Claim: two failures do not, the third does, and the time that is left is told."""
    fail(breaker, 2)
    assert breaker.state is BreakerState.CLOSED
    fail(breaker)
    assert breaker.state is BreakerState.OPEN
    assert refused_for_s(breaker) == 10
    clock.now_s += 4
    assert refused_for_s(breaker) == 6


def test_an_answer_ends_the_row(breaker: Breaker) -> None:
    """Claim: a result ends it, and so does an exception that is not counted: the server is alive."""
    fail(breaker, 2)
    work(breaker)
    fail(breaker, 2)
    with pytest.raises(LookupError), breaker.attempt():
        raise LookupError
    fail(breaker, 2)
    assert breaker.state is BreakerState.CLOSED


async def test_a_cancelled_attempt_says_nothing(breaker: Breaker) -> None:
    """Claim: it neither ends the row nor counts in it."""
    fail(breaker, 2)
    with pytest.raises(asyncio.CancelledError), breaker.attempt():
        raise asyncio.CancelledError
    assert breaker.state is BreakerState.CLOSED
    fail(breaker)
    assert breaker.state is BreakerState.OPEN


def test_a_probe_that_works_closes_it(breaker: Breaker, clock: Clock) -> None:
    """Claim: after the cool-down one attempt decides, and then everything is as at the start."""
    fail(breaker, 3)
    clock.now_s += 10
    assert breaker.state is BreakerState.HALF_OPEN
    work(breaker)
    assert breaker.state is BreakerState.CLOSED
    assert breaker.is_as_new
    fail(breaker, 3)
    assert refused_for_s(breaker) == 10


def test_each_failed_probe_doubles_the_cool_down(breaker: Breaker, clock: Clock) -> None:
    """Claim: 10 s, 20 s, then 35 s, the longest allowed, however often it fails."""
    fail(breaker, 3)
    for cool_down_s in (10, 20, 35, 35):
        assert refused_for_s(breaker) == cool_down_s
        clock.now_s += cool_down_s
        fail(breaker)


def test_a_probe_is_alone(breaker: Breaker, clock: Clock) -> None:
    """Claim: while the probe is under way all others are refused, without a time."""
    fail(breaker, 3)
    clock.now_s += 10
    with breaker.attempt():
        assert refused_for_s(breaker) == 0
        assert refused_for_s(breaker) == 0
    work(breaker)


def test_a_cancelled_probe_leaves_the_place_to_another(breaker: Breaker, clock: Clock) -> None:
    """Claim: it does not keep everybody out for good, and does not lengthen the cool-down."""
    fail(breaker, 3)
    clock.now_s += 10
    with pytest.raises(asyncio.CancelledError), breaker.attempt():
        raise asyncio.CancelledError
    assert breaker.state is BreakerState.HALF_OPEN
    work(breaker)
    assert breaker.state is BreakerState.CLOSED


def test_what_set_out_before_it_opened_does_not_lengthen_the_cool_down(
    breaker: Breaker, clock: Clock
) -> None:
    """Claim: of many attempts in flight at the same time, the failures after the third change nothing."""
    late = breaker.attempt()
    late.__enter__()
    fail(breaker, 3)
    clock.now_s += 4
    assert not late.__exit__(Down, Down(), None)
    assert refused_for_s(breaker) == 6
    clock.now_s += 6
    fail(breaker)
    assert refused_for_s(breaker) == 20


def test_keys_fail_apart(clock: Clock) -> None:
    """Claim: what one host does is no other's fault."""
    breakers = Breakers[str](Down, LIMITS, clock=clock)
    for _ in range(3):
        with pytest.raises(Down), breakers.attempt("a"):
            raise Down
    with pytest.raises(BreakerOpenError), breakers.attempt("a"):
        pass
    with breakers.attempt("b"):
        pass
    assert breakers.open == 1


def test_what_is_probed_counts_as_open_until_it_answers(clock: Clock) -> None:
    """Claim: fewer failures than open it do not count, and a cool-down that has passed is no answer yet."""
    breakers = Breakers[str](Down, LIMITS, clock=clock)
    for _ in range(LIMITS.failures - 1):
        with pytest.raises(Down), breakers.attempt("a"):
            raise Down
    assert breakers.open == 0
    with pytest.raises(Down), breakers.attempt("a"):
        raise Down
    clock.now_s += LIMITS.first_open_s
    assert breakers.open == 1
    with breakers.attempt("a"):
        pass
    assert breakers.open == 0


def test_only_what_fails_is_remembered(clock: Clock) -> None:
    """Claim: healthy hosts take no memory; attempts at the same time count together from the first."""
    breakers = Breakers[str](Down, LIMITS, clock=clock)
    for number in range(100):
        with breakers.attempt(f"healthy-{number}"):
            pass
    assert len(breakers) == 0
    together = [breakers.attempt("a") for _ in range(3)]
    for attempt in together:
        attempt.__enter__()
    assert len(breakers) == 1
    for attempt in together:
        assert not attempt.__exit__(Down, Down(), None)
    with pytest.raises(BreakerOpenError), breakers.attempt("a"):
        pass


def test_the_number_of_failing_keys_is_bounded(clock: Clock) -> None:
    """Claim: of many that fail those that were tried last are remembered."""
    breakers = Breakers[int](Down, BreakerLimits(failures=1), max_keys=50, clock=clock)
    for host in range(1000):
        with pytest.raises(Down), breakers.attempt(host):
            raise Down
    assert len(breakers) == 50
    with breakers.attempt(949):
        pass
    with pytest.raises(BreakerOpenError), breakers.attempt(950):
        pass
