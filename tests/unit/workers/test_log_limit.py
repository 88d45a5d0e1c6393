"""An outage does not fill the log."""

import logging

import pytest

from genrestream.workers import log_limit
from genrestream.workers.log_limit import SeldomRepeated


def record(name: str, message: str, *args: object, level: int = logging.ERROR) -> logging.LogRecord:
    return logging.LogRecord(name, level, "x.py", 1, message, args, None)


def test_a_library_is_heard_once_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claim: of a thousand errors of one kind one is written, and the next one later says how many it was."""
    now = 0.0
    monkeypatch.setattr(log_limit.time, "monotonic", lambda: now)
    seldom = SeldomRepeated()
    repeated = [seldom.filter(record("aiokafka.client", "no connection to %s", node)) for node in range(1000)]
    assert repeated == [True] + [False] * 999
    assert seldom.filter(record("aiokafka.client", "something else"))
    now = 11.0
    again = record("aiokafka.client", "no connection to %s", 7)
    assert seldom.filter(again)
    assert again.getMessage() == "no connection to 7 (999 more like it)"


def test_our_own_words_are_always_heard() -> None:
    """Claim: only libraries are held back, and nothing critical."""
    seldom = SeldomRepeated()
    assert all(seldom.filter(record("genrestream.workers.app", "same")) for _ in range(5))
    assert all(seldom.filter(record("aiokafka", "same", level=logging.CRITICAL)) for _ in range(5))
