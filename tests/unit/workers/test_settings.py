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


def test_networks_and_ports_of_media_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claim: networks of both families and single addresses; none by default, and none when empty."""
    assert WorkerSettings().media_allowed_networks == ()
    monkeypatch.setenv("GENRESTREAM_MEDIA_ALLOWED_NETWORKS", "10.1.0.0/16, fd00::/8,192.168.0.7")
    monkeypatch.setenv("GENRESTREAM_MEDIA_PORTS", "80,9000")
    settings = WorkerSettings()
    assert [str(network) for network in settings.media_allowed_networks] == [
        *("10.1.0.0/16", "fd00::/8", "192.168.0.7/32")
    ]
    assert settings.media_ports == (80, 9000)
    monkeypatch.setenv("GENRESTREAM_MEDIA_ALLOWED_NETWORKS", "")
    assert WorkerSettings().media_allowed_networks == ()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(
            ("KINDS", "opera"),
            ("KINDS", ""),
            ("HTTP_PORT", "70000"),
            ("NAME", "a b"),
            ("ITEM_DEADLINE_S", "0"),
        ),
        *(("MEDIA_ALLOWED_NETWORKS", "10.0.0.1/8"), ("MEDIA_ALLOWED_NETWORKS", "localhost")),
        *(("MEDIA_PORTS", "0"), ("MEDIA_PORTS", ""), ("MEDIA_BUDGET_S", "0")),
    ],
)
def test_a_setting_out_of_range_is_refused(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claim: the error names the setting."""
    monkeypatch.setenv(f"GENRESTREAM_{variable}", value)
    with pytest.raises(ValidationError, match=variable.lower()):
        WorkerSettings()
