"""SECURITY.md names what holds each promise; what it names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "SECURITY.md").read_text()


def test_every_test_that_is_named_is_there() -> None:
    """Whoever reads that something is tested finds the test."""
    named = re.findall(r"`(tests/[^`]+)`", TEXT)
    assert len(named) >= 10
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_setting_that_is_named_is_there() -> None:
    """The hardening settings exist under these names."""
    named = set(re.findall(r"GENRESTREAM_[A-Z_]+", TEXT))
    settings = (ROOT / "docs" / "settings.md").read_text()
    assert sorted(name for name in named if f"`{name}`" not in settings) == []
