"""What `genrestream worker` prepares before the worker runs."""

import os
from typing import Any

import pytest

from genrestream.cli.worker import RESOLVER_OPTIONS, worker
from genrestream.workers import app


@pytest.mark.parametrize(
    ("given", "used"), [(None, RESOLVER_OPTIONS), ("timeout:1", "timeout:1")], ids=["usual", "given"]
)
def test_look_ups_give_up_soon(monkeypatch: pytest.MonkeyPatch, given: str | None, used: str) -> None:
    """The C library's options are there when the worker starts; an operator's own stay."""
    found: list[str | None] = []

    def run_worker(*_: Any) -> None:
        found.append(os.environ.get("RES_OPTIONS"))

    monkeypatch.setattr(app, "run_worker", run_worker)
    for name in ("KAFKA_BOOTSTRAP", "TRITON_URL"):
        monkeypatch.setenv(name, "127.0.0.1:1")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    # Set in any case, so that what the command sets is undone afterwards.
    monkeypatch.setenv("RES_OPTIONS", given or "")
    if given is None:
        monkeypatch.delenv("RES_OPTIONS")
    worker()
    assert found == [used]
