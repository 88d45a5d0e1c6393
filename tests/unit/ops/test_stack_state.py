"""The state of a stack on disk, and the addresses that commands read from it."""

import dataclasses
import json
from pathlib import Path

import pytest
import typer

from genrestream.cli.addresses import Addresses, resolve_addresses
from genrestream.cli.errors import CommandError
from genrestream.cli.local_stack import show
from genrestream.ops.errors import StackError
from genrestream.ops.state import StackState, StartedServer, forget_state, load_state


@pytest.fixture
def state(tmp_path) -> StackState:
    return StackState(
        marker="abc",
        directory=str(tmp_path),
        models="/models",
        started_at="2026-01-02T03:04:05+00:00",
        kafka_bootstrap="127.0.0.1:21001",
        redis_url="redis://127.0.0.1:21002/0",
        triton_url="127.0.0.1:21003",
        triton_http_url="http://127.0.0.1:21004",
        prometheus_url=None,
        servers=(StartedServer("redis", "Redis 8", 12, 34, {"url": "redis://127.0.0.1:21002/0"}, "/log"),),
    )


@pytest.fixture(autouse=True)
def _no_servers_named(monkeypatch, tmp_path):
    for name in ("KAFKA_BOOTSTRAP", "REDIS_URL", "TRITON_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GENRESTREAM_DIR", str(tmp_path))


def test_what_is_saved_is_loaded(state, tmp_path):
    """Every field survives; the file has the names that clients read."""
    path = state.save()
    assert path == tmp_path / "stack.json"
    assert load_state(tmp_path) == state
    raw = json.loads(path.read_text())
    assert (raw["kafka_bootstrap"], raw["prometheus_url"]) == ("127.0.0.1:21001", None)
    forget_state(tmp_path)
    assert load_state(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"servers": []}', '{"servers": [{"pid": 1}]}'])
def test_a_damaged_file_is_one_clear_error(tmp_path, text):
    """Cut off, of another form or of another version: the error names the file and what to do."""
    (tmp_path / "stack.json").write_text(text)
    with pytest.raises(
        StackError, match=r"cannot read .*stack\.json .*delete it once its servers are stopped"
    ):
        load_state(tmp_path)
    with pytest.raises(CommandError, match=r"cannot read .*stack\.json"):
        resolve_addresses()


def test_addresses_come_from_the_running_stack(state):
    """With no variable set, all three are the stack's."""
    state.save()
    assert resolve_addresses() == Addresses(
        kafka_bootstrap="127.0.0.1:21001",
        redis_url="redis://127.0.0.1:21002/0",
        triton_url="127.0.0.1:21003",
        models=Path(state.models),
    )


def test_a_variable_overrides_the_stack(state, monkeypatch):
    """`KAFKA_BOOTSTRAP` wins; the others stay the stack's."""
    state.save()
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "broker:9092")
    found = resolve_addresses()
    assert (found.kafka_bootstrap, found.triton_url) == ("broker:9092", "127.0.0.1:21003")


def test_the_models_are_those_of_the_stack_s_own_triton(state, monkeypatch):
    """What the stack serves says nothing about the models of another Triton."""
    state.save()
    monkeypatch.setenv("TRITON_URL", "triton:8001")
    assert resolve_addresses().models is None


def test_without_a_stack_the_error_says_what_to_run(monkeypatch):
    """It names `genrestream up` and the variables that are missing."""
    monkeypatch.setenv("REDIS_URL", "redis://here/0")
    with pytest.raises(CommandError, match=r"`genrestream up`, or set KAFKA_BOOTSTRAP, TRITON_URL$"):
        resolve_addresses()


def test_all_variables_need_no_stack(monkeypatch):
    """Nobody needs a local stack whose servers are elsewhere."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "a:1")
    monkeypatch.setenv("REDIS_URL", "redis://b/0")
    monkeypatch.setenv("TRITON_URL", "c:3")
    assert resolve_addresses() == Addresses("a:1", "redis://b/0", "c:3")


def test_a_password_of_redis_stays_with_its_owner(state):
    """Others of the machine cannot read the file, and the state's text leaves the address out."""
    mine = dataclasses.replace(state, redis_url="rediss://worker:hush@redis.example/0")
    assert mine.save().stat().st_mode & 0o777 == 0o600
    assert "hush" not in repr(mine)


def test_a_password_of_redis_is_not_shown_as_json(state, capsys):
    """`up --json` and `status --json` give the address without the login."""
    dataclasses.replace(state, redis_url="rediss://worker:hush@127.0.0.1:1/0", servers=()).save()
    with pytest.raises(typer.Exit):
        show(None, as_json=True)
    shown = capsys.readouterr().out
    assert json.loads(shown)["redis_url"] == "rediss://127.0.0.1:1/0"
    assert "hush" not in shown
