"""compose.yaml: valid by the Compose Specification, linted, and agreeing with the code that it runs."""

import json
import re
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema.validators import validator_for

from genrestream.schemas.topics import INPUT_TOPICS
from genrestream.workers.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "compose.yaml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
ONE_SHOT = {"topics", "releases"}
HEALTH_IN_IMAGE = {"worker"}


def tool(name: str) -> str:
    """The path of a program that the test extra installs."""
    return str(Path(sys.executable).with_name(name))


def faults(text: str) -> list[str]:
    """What the Compose Specification's own JSON Schema, which check-jsonschema carries, says of a file."""
    package = find_spec("check_jsonschema")  # found, not imported: only its data is wanted
    assert package is not None
    assert package.origin is not None
    carried = Path(package.origin).parent / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(carried.read_text(encoding="utf-8"))
    errors = validator_for(schema)(schema).iter_errors(yaml.safe_load(text))
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in errors]


def test_valid_by_the_compose_specification():
    """The specification's schema takes the file."""
    assert faults(COMPOSE.read_text()) == []


def test_the_schema_check_finds_faults():
    """The check is no empty one: a misspelt key is found."""
    (fault,) = faults(COMPOSE.read_text().replace("restart: on-failure:3", "restrat: on-failure:3", 1))
    assert fault.startswith("services.topics: ")
    assert "'restrat' was unexpected" in fault


def test_yaml_is_linted():
    """yamllint has nothing to say about what operators read, nor about the taxonomies."""
    places = ["compose.yaml", "docs", "genrestream/ops/monitoring", "genrestream/schemas"]
    linted = subprocess.run(
        [tool("yamllint"), "--strict", *places], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert linted.stdout == ""


@pytest.mark.parametrize("profile", ["cpu", "gpu"])
def test_compose_itself_reads_it(profile):
    """Where Docker Compose is installed, it accepts the file with either profile; no engine is needed."""
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not on the PATH; the schema test holds the file all the same")
    command = [program, "--file", str(COMPOSE), "--profile", profile, "config", "--quiet"]
    read = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")


@pytest.mark.parametrize("name", SERVICES)
def test_image_is_pinned(name):
    """Every image but our own has a tag with a version, so that the same file starts the same programs."""
    image = SERVICES[name]["image"]
    assert image == "genrestream-worker" or re.search(r":v?\d+\.\d+[\w.-]*$", image)


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_bounded_and_watched(name):
    """Each service has a memory limit and bounded logs; each that stays up has a health check."""
    service = SERVICES[name]
    assert re.fullmatch(r"\d+[mg]", service["deploy"]["resources"]["limits"]["memory"])
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}
    assert "no-new-privileges:true" in service["security_opt"]
    if name in ONE_SHOT:
        assert service["healthcheck"] == {"disable": True}
    elif name not in HEALTH_IN_IMAGE:
        assert service["healthcheck"]["test"]


def test_ports_are_bound_to_this_machine():
    """Nothing without authentication is reachable from elsewhere."""
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == 8
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in published)


def test_dependencies_are_sound():
    """Who waits for health waits for one that tells it; who waits for completion, for one that completes."""
    graph = {name: set(service.get("depends_on", {})) for name, service in SERVICES.items()}
    assert list(TopologicalSorter(graph).static_order())
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[needed]["healthcheck"]
            else:
                assert how["condition"] == "service_completed_successfully"
                assert needed in ONE_SHOT
            # A service of a profile is not always there.
            assert how.get("required", True) == ("profiles" not in SERVICES[needed])


def test_workers_start_after_what_they_need():
    """Topics, releases, Redis and through them Kafka and Triton come before the first worker."""
    needed: set[str] = set()
    waiting = ["worker"]
    while waiting:
        for name in SERVICES[waiting.pop()].get("depends_on", {}):
            if name not in needed:
                needed.add(name)
                waiting.append(name)
    assert needed == {"releases", "topics", "kafka", "redis", "triton-cpu", "triton-gpu"}


@pytest.mark.parametrize("name", ["topics", "releases", "worker"])
def test_commands_exist(name):
    """What a container of ours runs is a command of the program, with options that it knows."""
    command = SERVICES[name].get("command", ["worker"])
    words = [word for word in command if not word.startswith(("-", "/"))]
    helped = subprocess.run(
        [tool("genrestream"), *words, "--help"],
        capture_output=True,
        text=True,
        check=False,
        env={"COLUMNS": "200", "NO_COLOR": "1", "PATH": "/usr/bin:/bin"},
    )
    assert helped.returncode == 0, helped.stderr
    assert all(option in helped.stdout for option in command if option.startswith("--"))


def test_settings_exist():
    """Each variable of ours that a worker is given is one of its settings."""
    given = {name for name in SERVICES["worker"]["environment"] if name.startswith("GENRESTREAM_")}
    known = {f"GENRESTREAM_{field.upper()}" for field in WorkerSettings.model_fields}
    assert given
    assert given <= known


def test_a_worker_may_drain_before_it_is_killed():
    """The engine waits longer than the drain takes, with some seconds for the rest of the way out."""
    worker = SERVICES["worker"]
    grace_s = int(worker["stop_grace_period"].removesuffix("s"))
    assert grace_s >= float(worker["environment"]["GENRESTREAM_DRAIN_DEADLINE_S"]) + 5


def test_every_worker_can_have_partitions():
    """The number of workers that the file promises to feed is the number of partitions."""
    promised = re.search(r"the input topics have (\d+) partitions", COMPOSE.read_text())
    assert promised is not None
    assert {topic.partitions for topic in INPUT_TOPICS.values()} == {int(promised[1])}


def test_mounted_files_are_there():
    """What is mounted from the checkout exists, so that Docker does not make an empty folder of it."""
    sources = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    }
    assert len(sources) == 5
    assert [source for source in sources if not (ROOT / source).exists()] == []


def test_triton_starts_with_the_models_it_finds(tmp_path):
    """The command names every model's folder, and not the hidden one of candidates."""
    for folder in ("event-genres", "text-starter", ".candidates"):
        (tmp_path / folder).mkdir()
    (tmp_path / "README.md").touch()
    shell, option, text = SERVICES["triton-cpu"]["command"]
    script = text.replace("$$", "$").replace("exec tritonserver", "echo").replace("/models", str(tmp_path))
    printed = subprocess.run([shell, option, script], capture_output=True, text=True, check=True).stdout
    assert printed.split()[-2:] == ["--load-model=event-genres", "--load-model=text-starter"]
    assert printed.split()[0] == f"--model-repository={tmp_path}"
    assert ".candidates" not in printed
