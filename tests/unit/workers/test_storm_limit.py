"""The storm limit stops a worker that dead-letters too large a share of recent items."""

import pytest

from genrestream.workers.dead_letters import StormLimit


def exceeded_after(limit: StormLimit, outcomes: str) -> int | None:
    """After how many items, `d` for dead-lettered, the limit is first exceeded."""
    for number, outcome in enumerate(outcomes, start=1):
        limit.count(dead_lettered=outcome == "d")
        if limit.exceeded:
            return number
    return None


@pytest.mark.parametrize(
    ("outcomes", "number"),
    [
        ("d" * 20, 4),
        ("ddd", None),
        ("l" * 3 + "d" * 3, 6),
        ("l" * 10 + "d" * 10, 15),
        ("lld" * 10, None),
        ("dl" * 10, 4),
        ("", None),
    ],
)
def test_the_share_of_the_window_decides(outcomes: str, number: int | None) -> None:
    """Half of the last 10 stop it, judged from 4 items on: l x 10 and then d x 5 make 5 of the last 10."""
    assert exceeded_after(StormLimit(window_items=10, share=0.5, minimum_items=4), outcomes) == number


@pytest.mark.parametrize(("outcomes", "number"), [("d" * 200, 100), ("l" * 1000 + "d" * 1000, 1500)])
def test_it_is_what_operators_are_told(outcomes: str, number: int) -> None:
    """Half of the last 1,000, or of all from the 100th on: docs/dead_letters.md."""
    assert exceeded_after(StormLimit(), outcomes) == number


def test_old_items_are_forgotten() -> None:
    """A storm that is over does not count against the items after it."""
    limit = StormLimit(window_items=10, share=0.5, minimum_items=4)
    for outcome in "d" * 10 + "l" * 6:
        limit.count(dead_lettered=outcome == "d")
    assert not limit.exceeded
    assert str(limit).startswith("4 of the last 10 items were dead-lettered; ")


@pytest.mark.parametrize(
    ("window", "share", "minimum"), [(10, 0, 4), (10, 1.1, 4), (10, 0.5, 0), (3, 0.5, 4)]
)
def test_numbers_that_make_no_sense_are_refused(window: int, share: float, minimum: int) -> None:
    """A limit that could never or always stop the worker is a mistake of the settings."""
    with pytest.raises(ValueError, match="a storm limit needs"):
        StormLimit(window, share, minimum)
