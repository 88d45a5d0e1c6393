"""Starting and stopping the stack: what it starts is ready, and nothing of it outlives it, however it ends.

Where a claim is about any server, the test starts only those that it needs and takes the session's for the
rest, as `KAFKA_BOOTSTRAP` and its like would.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import graphs
import pytest
import redis

from genrestream.ops import process, status
from genrestream.ops.errors import StackError
from genrestream.ops.ports import HOST
from genrestream.ops.stack import local_stack, locked, start, stop
from genrestream.ops.state import External, load_state

pytestmark = pytest.mark.stack

HOLD = """
import sys, time
from pathlib import Path
from genrestream.ops.stack import local_stack
from genrestream.ops.state import External
external = External(kafka_bootstrap=sys.argv[3])
with local_stack(Path(sys.argv[1]), Path(sys.argv[2]), load=["held"], external=external) as state:
    print(state.marker, flush=True)
    time.sleep(120)
"""
"""Runs Redis, and Triton with a model, until it is stopped."""


@pytest.fixture
def model_repository(tmp_path: Path) -> Path:
    """A repository of its own with one model."""
    folder = tmp_path / "models"
    graphs.write_scale(folder, "held", 1, 1.0)
    graphs.write_config(folder, "held", [("x", "FP32", "4")], [("y", "FP32", "4")])
    return folder


def only_redis(stack) -> External:
    """The session's Kafka and Triton, so that just Redis is started."""
    return External(kafka_bootstrap=stack.kafka_bootstrap, triton_url=stack.triton_url)


def wait_until(condition, what: str, deadline_s: float = 60.0) -> None:
    give_up_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < give_up_s, what
        time.sleep(0.05)


def test_every_server_is_ready_and_shown(stack):
    """Kafka, Redis and Triton run, answer, and say what memory they take."""
    servers = {server.name: server for server in status.check(stack)}
    assert {"kafka", "redis", "triton"} <= set(servers)
    for server in servers.values():
        assert server.running, server.name
        assert server.ready, server.name
        assert server.memory_bytes > 1_000_000, server.name
        assert Path(server.log).is_file(), server.name


def test_a_stack_stops_what_it_started_and_keeps_its_logs(stack, tmp_path):
    """After the block: no process, no state, but the log; the session's servers go on."""
    with local_stack(tmp_path, tmp_path, external=only_redis(stack)) as state:
        assert [server.name for server in state.servers if server.name != "prometheus"] == ["redis"]
        assert redis.Redis.from_url(state.redis_url).set("key", "value")
        assert load_state(tmp_path) == state
        assert len(process.marked(state.marker)) >= 1
    assert process.marked(state.marker) == []
    assert load_state(tmp_path) is None
    assert (tmp_path / "logs" / "redis.log").read_text()
    assert all(server.ready for server in status.check(stack))


def test_an_exception_inside_stops_the_stack_too(stack, tmp_path):
    """The exception arrives outside."""
    with pytest.raises(KeyError), local_stack(tmp_path, tmp_path, external=only_redis(stack)) as state:
        raise KeyError("inside")
    assert process.marked(state.marker) == []


def test_what_runs_on_the_stack_ends_with_it(stack, tmp_path):
    """A process that was given the stack's environment is stopped before the servers."""
    with local_stack(tmp_path, tmp_path, external=only_redis(stack)) as state:
        worker = subprocess.Popen(["sleep", "60"], env={**os.environ, **state.environment()})
    assert worker.wait(timeout=10) == -signal.SIGTERM


def test_data_are_kept_from_one_start_to_the_next(stack, tmp_path):
    """What Redis held at the end it holds again."""
    with local_stack(tmp_path, tmp_path, external=only_redis(stack)) as state:
        redis.Redis.from_url(state.redis_url).set("kept", "value")
    with local_stack(tmp_path, tmp_path, external=only_redis(stack)) as state:
        assert redis.Redis.from_url(state.redis_url).get("kept") == b"value"


def test_a_taken_usual_port_is_no_obstacle(stack, tmp_path):
    """Where 6379 is taken Redis listens elsewhere, and says where."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind((HOST, 6379))
            taken.listen()
        except OSError:
            pass  # somebody else listens there already: as good
        state = start(tmp_path, tmp_path, external=only_redis(stack))
        try:
            assert not state.redis_url.endswith(":6379/0")
            assert redis.Redis.from_url(state.redis_url).ping()
        finally:
            stop(state)


def test_a_server_that_does_not_start_names_its_log_and_takes_the_others_along(stack, tmp_path):
    """A model that cannot be loaded ends Triton: the error has its log's name and end; Redis is stopped."""
    graphs.write_config(tmp_path / "models", "broken", [("x", "FP32", "4")], [("y", "FP32", "4")])
    external = External(kafka_bootstrap=stack.kafka_bootstrap)
    with pytest.raises(
        StackError, match=r"Triton 2\.51 ended with status 1; its log is .*triton\.log:\n"
    ) as raised:
        start(tmp_path, tmp_path / "models", load=["broken"], external=external)
    assert "broken" in str(raised.value)
    assert load_state(tmp_path) is None
    wait_until(lambda: not running_in(tmp_path), "Redis goes on")


def running_in(folder: Path) -> list[int]:
    """Pids of the processes whose working folder is inside."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").resolve().is_relative_to(folder):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    ("external", "told"),
    [
        (
            External(kafka_bootstrap="127.0.0.1:1"),
            "KAFKA_BOOTSTRAP is 127.0.0.1:1, but no Kafka broker answers",
        ),
        (External(kafka_bootstrap="nonsense"), "KAFKA_BOOTSTRAP is nonsense, but no Kafka broker answers"),
        (External(redis_url="redis://127.0.0.1:1/0"), "REDIS_URL is redis://127.0.0.1:1/0, but no Redis"),
        (External(redis_url="nonsense"), "REDIS_URL is nonsense, but no Redis"),
        (External(triton_url="127.0.0.1:1"), "TRITON_URL is 127.0.0.1:1, but no Triton"),
    ],
)
def test_a_named_server_that_is_not_there_is_one_clear_error(tmp_path, external, told):
    """Nothing is started then."""
    with pytest.raises(StackError, match=told):
        start(tmp_path, tmp_path, external=external)
    assert not (tmp_path / "logs").exists()


def test_a_missing_model_repository_is_one_clear_error(stack, tmp_path):
    """The path is named."""
    external = External(kafka_bootstrap=stack.kafka_bootstrap, redis_url=stack.redis_url)
    with pytest.raises(StackError, match=r"no model repository at .*/nowhere"):
        start(tmp_path, tmp_path / "nowhere", external=external)


def test_two_commands_do_not_start_the_same_stack(tmp_path):
    """The second is told at once."""
    with (
        locked(tmp_path),
        pytest.raises(StackError, match="another command is starting or stopping"),
        locked(tmp_path),
    ):
        pass


def shared_memory(marker: str) -> list[str]:
    """Names of the stack's files in /dev/shm."""
    return [path.name for path in Path("/dev/shm").glob(f"*{marker}*")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_process_is_left_however_the_stack_ends(stack, tmp_path, model_repository, number):
    """Ctrl-C, SIGTERM, a closed terminal, kill -9: Redis, Triton and its stubs are gone soon after."""
    command = [
        sys.executable,
        "-c",
        HOLD,
        str(tmp_path / "stack"),
        str(model_repository),
        stack.kafka_bootstrap,
    ]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    marker = holder.stdout.readline().strip()
    assert len(process.marked(marker)) >= 3  # Redis, Triton, a stub an instance
    assert shared_memory(marker) != []
    holder.send_signal(number)
    ended = holder.wait(timeout=60)
    holder.stdout.close()
    if number == signal.SIGKILL:
        wait_until(lambda: not process.marked(marker), "the watchdog left a process")
        wait_until(lambda: not shared_memory(marker), "the watchdog left shared memory")
    else:
        assert ended != 0
        assert process.marked(marker) == []
        assert shared_memory(marker) == []


def test_kill_9_while_the_stack_starts_leaves_no_process(stack, tmp_path, model_repository):
    """The watchdog is there before the first server."""
    folder = tmp_path / "stack"
    command = [sys.executable, "-c", HOLD, str(folder), str(model_repository), stack.kafka_bootstrap]
    holder = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: running_in(folder), "no server was started")
    holder.kill()
    holder.wait()
    wait_until(lambda: not running_in(folder), "the watchdog left a process")


class TestCommands:
    """`genrestream up`, `status` and `down` as processes."""

    @staticmethod
    def run(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "genrestream", *arguments],
            env={**os.environ, "GENRESTREAM_DIR": str(folder), **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def test_up_status_down(self, stack, tmp_path, models_dir):
        """The servers outlive `up`, a second `up` finds them, `status` shows them, `down` stops them."""
        named = {"KAFKA_BOOTSTRAP": stack.kafka_bootstrap, "TRITON_URL": stack.triton_url}
        first = self.run(tmp_path, "up", "--models", str(models_dir), **named)
        try:
            assert first.returncode == 0, first.stderr
            state = load_state(tmp_path)
            assert state.redis_url in first.stdout
            assert state.kafka_bootstrap == stack.kafka_bootstrap
            assert redis.Redis.from_url(state.redis_url).ping()
            again = self.run(tmp_path, "up", "--models", str(models_dir), "--json", **named)
            assert again.returncode == 0, again.stderr
            assert "already running" in again.stderr
            assert json.loads(again.stdout)["redis_url"] == state.redis_url
            other = self.run(tmp_path, "up", "--models", "elsewhere", **named)
            assert other.returncode == 1
            assert other.stderr == (
                f"genrestream: a stack that serves {models_dir} is running: `genrestream down` stops it\n"
            )
            shown = self.run(tmp_path, "status", "--json")
            servers = {server["name"]: server for server in json.loads(shown.stdout)["servers"]}
            assert (servers["redis"]["ready"], servers["kafka"]["pid"]) == (True, None)
        finally:
            ended = self.run(tmp_path, "down", "--wipe")
        assert ended.returncode == 0, ended.stderr
        assert process.marked(state.marker) == []
        assert not (tmp_path / "redis").exists()
        assert all(server.ready for server in status.check(stack)), "down stopped what it had not started"

    def test_status_tells_of_a_server_that_died(self, stack, tmp_path, models_dir):
        """Exit status 1 and `not running`; `up` starts it anew."""
        named = {"KAFKA_BOOTSTRAP": stack.kafka_bootstrap, "TRITON_URL": stack.triton_url}
        try:
            assert self.run(tmp_path, "up", "--models", str(models_dir), **named).returncode == 0
            before = load_state(tmp_path)
            process.terminate([server.identity for server in before.servers])
            shown = self.run(tmp_path, "status")
            assert shown.returncode == 1
            assert "not running" in shown.stdout
            again = self.run(tmp_path, "up", "--models", str(models_dir), **named)
            assert again.returncode == 0, again.stderr
            assert "stopped meanwhile: starting anew" in again.stderr
            assert redis.Redis.from_url(load_state(tmp_path).redis_url).ping()
        finally:
            self.run(tmp_path, "down")

    @pytest.mark.parametrize(
        ("arguments", "environment", "told"),
        [
            (["status"], {}, "genrestream: no stack runs in .*: run `genrestream up`"),
            (
                ["up", "--models", "/nowhere"],
                {"REDIS_URL": "redis://127.0.0.1:1/0"},
                "genrestream: REDIS_URL is",
            ),
        ],
    )
    def test_errors_are_one_line(self, tmp_path, arguments, environment, told):
        """On standard error, with exit status 1 and no traceback."""
        ended = self.run(tmp_path, *arguments, **environment)
        assert (ended.returncode, ended.stdout) == (1, "")
        [line] = ended.stderr.splitlines()
        assert re.match(told, line), line

    def test_down_without_a_stack_is_no_error(self, tmp_path):
        """There is nothing to stop."""
        ended = self.run(tmp_path, "down")
        assert ended.returncode == 0
        assert "no stack runs" in ended.stderr
