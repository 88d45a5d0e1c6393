"""What may be committed."""

import random

from genrestream.workers.ledger import Entry, Ledger


def test_a_finished_message_waits_for_those_before_it() -> None:
    """Claim: only the contiguous finished prefix is released, in order."""
    ledger: Ledger[int] = Ledger(limit_per_partition=10)
    first, second, third = (ledger.open("p", offset) for offset in (5, 6, 7))
    assert ledger.finish(second) == []
    assert ledger.finish(first) == [5, 6]
    assert ledger.finish(third) == [7]


def test_partitions_do_not_wait_for_each_other() -> None:
    """Claim: a slow message holds back its own partition only."""
    ledger: Ledger[str] = Ledger(limit_per_partition=10)
    ledger.open("slow", "a0")
    other = ledger.open("fast", "b0")
    assert ledger.finish(other) == ["b0"]


def test_the_length_is_bounded_by_a_slow_message() -> None:
    """Claim: with a limit of 2, a third message has room only after the oldest one is done."""
    ledger: Ledger[int] = Ledger(limit_per_partition=2)
    slow = ledger.open("p", 0)
    fast = ledger.open("p", 1)
    ledger.finish(fast)
    assert not ledger.has_room("p")
    ledger.finish(slow)
    assert ledger.has_room("p")


def test_what_was_taken_away_is_acknowledged_to_nobody() -> None:
    """Claim: a message that finishes after its partition was revoked releases nothing."""
    ledger: Ledger[int] = Ledger(limit_per_partition=10)
    old = ledger.open("p", 0)
    ledger.forget(["p"])
    new = ledger.open("p", 0)
    assert ledger.finish(old) == []
    assert ledger.finish(new) == [0]


def test_any_order_of_finishing_releases_everything_once_in_order() -> None:
    """Claim: whatever finishes first, what is released is 0, 1, 2, ... without gap or repetition."""
    for seed in range(50):
        chance = random.Random(seed)
        ledger: Ledger[int] = Ledger(limit_per_partition=100)
        entries: list[Entry[int]] = [ledger.open("p", offset) for offset in range(40)]
        chance.shuffle(entries)
        released = [offset for entry in entries for offset in ledger.finish(entry)]
        assert released == list(range(40))
        assert ledger.in_flight == 0
        assert ledger.oldest_age_s() == 0.0
