"""Long commands say how far they are: where no bar can be drawn, in a line now and then."""

import pytest

from genrestream.cli import progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the test says so."""
    now = [100.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


def test_a_long_command_says_a_line_now_and_then(clock, capsys):
    """Nothing in the first half minute, and then no more than a line in each."""
    with progress.progress_bar() as bar:
        report = progress.reporter(bar, "podcasts")
        for second in range(95):
            clock[0] = 100.0 + second
            report("embeddings", second, 2000)
    assert capsys.readouterr().err.splitlines() == [
        "podcasts embeddings: 30 of 2,000",
        "podcasts embeddings: 60 of 2,000",
        "podcasts embeddings: 90 of 2,000",
    ]


def test_a_command_that_shows_nothing_says_nothing(clock, capsys):
    """Of several processes one alone speaks."""
    with progress.progress_bar(shown=False) as bar:
        report = progress.reporter(bar)
        clock[0] += 1000.0
        report("embeddings", 1, 2)
    assert capsys.readouterr().err == ""
