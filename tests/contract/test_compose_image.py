"""The worker's Dockerfile: linted, without root or build tools, with only what a worker needs."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from genrestream.workers.health import Health, HealthServer
from genrestream.workers.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), comments left out and continued lines joined."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(lines))
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line]


def final_stage() -> list[tuple[str, str]]:
    """The instructions of the image that is run."""
    all_of_them = instructions()
    last = max(place for place, (name, _) in enumerate(all_of_them) if name == "FROM")
    return all_of_them[last:]


def environment() -> dict[str, str]:
    """What the image sets."""
    arguments = next(text for name, text in final_stage() if name == "ENV")
    return dict(pair.split("=", 1) for pair in arguments.split())


def test_linted():
    """hadolint has nothing to say, not even for information."""
    hadolint = str(Path(sys.executable).with_name("hadolint"))
    linted = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_base_is_pinned_in_every_stage():
    """Both stages begin with the same Python, named with its full version, so that the environment fits."""
    bases = [text.split()[0] for name, text in instructions() if name == "FROM"]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", bases[0])


def test_final_image_builds_nothing_and_is_not_root():
    """The last stage only copies the finished environment, and runs as a numbered user."""
    stage = final_stage()
    assert [text for name, text in stage if name == "COPY"] == [
        "--from=build /opt/genrestream /opt/genrestream"
    ]
    assert [name for name, _ in stage if name == "ADD"] == []
    commands = [text for name, text in stage if name == "RUN"]
    assert len(commands) == 1
    assert commands[0].startswith("useradd ")
    assert [text for name, text in stage if name == "USER"] == ["10001:10001"]
    assert [name for name, _ in stage].index("USER") < [name for name, _ in stage].index("ENTRYPOINT")


def test_only_a_workers_requirements_are_installed(tmp_path):
    """The build installs the project's own dependencies, no extra, each at the pinned version."""
    run = next(text for name, text in instructions() if name == "RUN" and "tomllib" in text)
    listing = re.match(r'python (-c) "(.+?)" > dependencies\.txt', run)
    assert listing is not None
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    code = listing[2].replace("\\\\n", "\\n")
    printed = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert printed.stdout.splitlines() == project["dependencies"]
    pinned = {
        line.split("==")[0]
        for line in (ROOT / "requirements" / "worker.txt").read_text().splitlines()
        if "==" in line
    }
    names = {re.split(r"[\[=<>]", line)[0].lower() for line in project["dependencies"]}
    assert {name.replace("_", "-") for name in names} <= pinned
    assert not {"torch", "timm", "transformers"} & pinned


def test_context_is_only_what_is_copied():
    """The ignore file lets in what the build copies, and neither data nor models nor git's history."""
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    copied = {
        source
        for name, text in instructions()
        if name == "COPY" and not text.startswith("--from")
        for source in text.split()[:-1]
    }
    assert {line.removeprefix("!") for line in lines if line.startswith("!")} == copied


def test_settings_of_the_image_exist():
    """Each variable of ours in the image is a worker's setting, and the port is the usual one."""
    given = {name: value for name, value in environment().items() if name.startswith("GENRESTREAM_")}
    fields = WorkerSettings.model_fields
    assert {name.removeprefix("GENRESTREAM_").lower() for name in given} <= set(fields)
    assert given["GENRESTREAM_HTTP_PORT"] == str(fields["http_port"].default)
    assert ("EXPOSE", given["GENRESTREAM_HTTP_PORT"]) in final_stage()


@pytest.mark.parametrize(("reasons", "status"), [([], 0), (["the oldest message is stuck"], 1)])
async def test_health_check_asks_the_worker(reasons, status):
    """The image's health check succeeds while the real health server says alive, and fails otherwise."""
    text = next(text for name, text in final_stage() if name == "HEALTHCHECK")
    command = json.loads(text[text.index("[") :])
    assert command[:2] == ["python", "-c"]
    health = Health(not_ready=lambda: ["no release is live"], not_alive=lambda: reasons)
    async with HealthServer("127.0.0.1", 0, CollectorRegistry(), health) as server:
        port = server.address.rpartition(":")[2]
        checked = await run(command[2], {"GENRESTREAM_HTTP_PORT": port})
    assert checked == status


async def run(code: str, variables: dict[str, str]) -> int:
    """The exit status of Python code, run beside the event loop."""
    import asyncio

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=variables, stderr=asyncio.subprocess.DEVNULL
    )
    return await process.wait()
