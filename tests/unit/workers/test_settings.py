"""The settings and their documentation."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from genrestream.schemas import Kind
from genrestream.workers.settings import WorkerSettings, documentation

DOCUMENT = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_documentation_is_fresh() -> None:
    """Claim: docs/settings.md is what `python -m genrestream.workers.settings` prints."""
    assert DOCUMENT.read_text() == documentation()


def test_kinds_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claim: GENRESTREAM_KINDS=event,track serves these two."""
    monkeypatch.setenv("GENRESTREAM_KINDS", "event,track")
    assert WorkerSettings().kinds == (Kind.EVENT, Kind.TRACK)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("KINDS", "opera"), ("KINDS", ""), ("HTTP_PORT", "70000"), ("NAME", "a b"), ("ITEM_DEADLINE_S", "0")],
)
def test_a_setting_out_of_range_is_refused(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claim: the error names the setting."""
    monkeypatch.setenv(f"GENRESTREAM_{variable}", value)
    with pytest.raises(ValidationError, match=variable.lower()):
        WorkerSettings()
