"""Set-up: which interpreter is taken, what is told when one is missing, and that pins name no address."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from genrestream.ops import interpreter, kafka_classes, kafka_jars
from genrestream.ops.errors import StackError
from genrestream.ops.java import fetched_java
from genrestream.ops.kafka import properties
from genrestream.schemas.topics import TOPICS

ROOT = Path(__file__).resolve().parents[3]
FIND = ROOT / "genrestream" / "ops" / "find_python.sh"


def find_python(**environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/sh", str(FIND)], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def fake_python(folder: Path, name: str, problem: str) -> Path:
    """An interpreter of the right version that says what it lacks."""
    program = folder / name
    program.write_text(f"#!/bin/sh\n[ \"$1\" = -c ] && exit 0\necho '{problem}' >&2\nexit 1\n")
    program.chmod(0o755)
    return program


def test_the_interpreter_of_these_tests_suits():
    """What runs the tests could be set up with."""
    assert interpreter.find_problem() is None
    found = find_python(PATH=os.environ["PATH"], PYTHON=sys.executable)
    assert (found.returncode, found.stdout.strip(), found.stderr) == (0, sys.executable, "")


def test_no_python_is_one_line_with_the_command(tmp_path):
    """An old Python counts as none."""
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    found = find_python(PATH=f"{tmp_path}:/usr/bin:/bin", PYTHON="python3")
    assert found.returncode == 1
    assert found.stderr.splitlines() == [
        "genrestream: no Python 3.11 to 3.13 in python3: apt-get install python3-venv"
    ]


def test_what_the_first_suitable_python_lacks_is_told(tmp_path):
    """When none of them will do, the first one's problem is shown, once."""
    program = fake_python(tmp_path, "python3", "genrestream: libpython is missing")
    found = find_python(PATH="/usr/bin:/bin", PYTHON=str(program))
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.splitlines() == ["genrestream: libpython is missing"]


def test_a_python_that_lacks_something_is_passed_over(tmp_path):
    """A second one that has everything is taken."""
    program = fake_python(tmp_path, "python3", "genrestream: libpython is missing")
    found = find_python(PATH="/usr/bin:/bin", PYTHON=f"{program} {sys.executable}")
    assert (found.returncode, found.stdout.strip()) == (0, sys.executable)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"OLDEST": (3, 99), "NEWEST": (3, 99)}, "needs Python 3.11 to 3.13"),
        ({"has_library": lambda: False}, f"apt-get install libpython{interpreter.MINOR}"),
    ],
)
def test_a_problem_names_what_to_install(monkeypatch, change, told):
    """One line, with the command where one helps."""
    for name, value in change.items():
        monkeypatch.setattr(interpreter, name, value)
    problem = interpreter.find_problem()
    assert told in problem
    assert "\n" not in problem


def test_missing_jars_are_one_clear_error(monkeypatch, tmp_path):
    """The count, and what to run."""
    monkeypatch.setenv("GENRESTREAM_TOOLS", str(tmp_path))
    with pytest.raises(StackError, match=r"^46 of Apache Kafka's 46 jars are missing: run `make setup`"):
        kafka_jars.class_path()


def test_every_jar_is_held_to_a_checksum():
    """46 jars, each with 64 hexadecimal digits, the broker among them."""
    jars = kafka_jars.listed_jars()
    assert len(jars) == 46
    assert all(re.fullmatch(r"[0-9a-f]{64}", jar.sha256) for jar in jars)
    broker = next(jar for jar in jars if jar.artifact == "kafka_2.13")
    assert broker.path_in(Path("/r")) == Path("/r/org/apache/kafka/kafka_2.13/4.1.1/kafka_2.13-4.1.1.jar")


def test_the_broker_takes_what_the_topics_allow():
    """The broker's own limit is above every topic's, and a mistyped topic is not created."""
    settings = properties(Path("/data"), 1, 2)
    assert int(settings["message.max.bytes"]) > max(topic.max_message_bytes for topic in TOPICS)
    assert settings["auto.create.topics.enable"] == "false"


def test_pins_name_no_address():
    """Anybody's index serves them; what comes from servers.txt and weights.txt is held to its hash."""
    for file in (ROOT / "requirements").glob("*.txt"):
        text = file.read_text()
        assert "://" not in text
        assert all(" @ " not in line for line in text.splitlines())
        if file.stem in ("servers", "weights", "uv", "build"):
            assert text.count("==") <= text.count("--hash=sha256:")


def test_a_worker_environment_has_neither_torch_nor_scipy():
    """The pins of the worker are a part of the pins of the tests, at the same versions."""
    worker = set((ROOT / "requirements" / "worker.txt").read_text().splitlines())
    tests = set((ROOT / "requirements" / "test.txt").read_text().splitlines())
    assert worker <= tests
    names = {line.split("==")[0] for line in worker}
    assert not names & {"torch", "scipy", "numba", "librosa", "pandas"}


def test_another_java_gets_no_class_cache(monkeypatch, tmp_path):
    """The options are for the Java that wrote the cache; where there is none, there are no options."""
    monkeypatch.setenv("GENRESTREAM_TOOLS", str(tmp_path))
    assert kafka_classes.jvm_options(fetched_java()) == ()
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "classes.aot").write_bytes(b"")
    assert kafka_classes.jvm_options(fetched_java())[0] == f"-XX:AOTCache={tmp_path}/kafka/classes.aot"
    assert kafka_classes.jvm_options(Path("/usr/bin/java")) == ()
