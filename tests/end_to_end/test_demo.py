"""`make demo`'s program, from an empty folder to the last line, and broken off in the middle."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ITEMS = 6
BROKEN = 10
"""Items that the demo breaks on purpose, six of which nobody can label."""

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the committed models and nothing else."""
    shutil.copytree(
        REPOSITORY / "triton_models",
        tmp_path / "triton_models",
        ignore=shutil.ignore_patterns(".candidates"),
    )
    return tmp_path


def start(project: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GENRESTREAM")}
    return subprocess.Popen(
        [sys.executable, "-m", "genrestream.demo", *arguments],
        cwd=project,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def processes_of(project: Path) -> list[str]:
    """The command lines of running processes that work in the folder or name it."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            where = str((entry / "cwd").readlink())
        except OSError:
            continue
        if str(project) in command or where.startswith(str(project)):
            found.append(command)
    return found


def test_everything_published_comes_to_its_end(project: Path) -> None:
    """All kinds are labelled, broken items are dead letters or labelled from the rest, none is lost."""
    demo = start(project, "--items", str(ITEMS), "--json", "summary.json")
    output, complaints = demo.communicate()
    assert demo.returncode == 0, complaints
    summary = json.loads(output.splitlines()[-1])
    assert list(summary) == ["published", "labelled", "dead_lettered", "lost", "p50_s", "p99_s", "top1"]
    assert summary["published"] == 3 * ITEMS + BROKEN
    assert (summary["labelled"], summary["dead_lettered"], summary["lost"]) == (3 * ITEMS + BROKEN - 6, 6, 0)
    assert 0 < summary["p50_s"] <= summary["p99_s"]
    assert list(summary["top1"]) == ["event", "podcast", "track"]
    assert json.loads((project / "summary.json").read_text()) == summary
    for code in (
        *("malformed_json", "unknown_kind", "unsupported_schema_version"),
        *("key_mismatch", "no_content", "media_not_found"),
    ):
        assert code in output
    for gap in ("image unreadable", "image not_found", "image forbidden", "audio unreadable", "removed"):
        assert gap in output
    assert processes_of(project) == []


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_nothing_is_left_when_it_is_broken_off(project: Path, number: signal.Signals, status: int) -> None:
    """Ctrl-C and SIGTERM while items flow: the promised status, no traceback, no process left."""
    demo = start(project, "--items", "40")
    assert demo.stdout is not None
    assert demo.stderr is not None
    for line in demo.stdout:
        if line.startswith(("event ", "podcast ", "track ")):
            break
    os.killpg(demo.pid, number)
    _, complaints = demo.communicate()
    assert demo.returncode == status
    assert "Traceback" not in complaints
    assert processes_of(project) == []


def test_nothing_is_left_when_it_is_killed(project: Path) -> None:
    """After kill -9 the watchdogs stop servers, worker and helpers; nobody has to clean up."""
    demo = start(project, "--items", "40")
    assert demo.stdout is not None
    for line in demo.stdout:
        if "worker is ready" in line:
            break
    demo.kill()
    demo.communicate()
    give_up_s = time.monotonic() + 60
    while processes_of(project) and time.monotonic() < give_up_s:
        time.sleep(0.2)
    assert processes_of(project) == []


def test_a_folder_without_models_is_told_in_one_line(tmp_path: Path) -> None:
    """Outside the project: one line, status 1, no server started."""
    demo = start(tmp_path)
    _, complaints = demo.communicate()
    assert demo.returncode == 1
    assert complaints == "demo: no model repository at triton_models: run the demo in the project's folder\n"


def test_a_data_folder_without_sets_is_told_in_one_line(tmp_path: Path) -> None:
    """`--data` of the wrong folder: one line that says what is looked for."""
    demo = start(tmp_path, "--data", str(tmp_path))
    _, complaints = demo.communicate()
    assert demo.returncode == 1
    expected = "none of podcasts, screenings, tracks, songs is there"
    assert complaints == f"demo: no sets in {tmp_path}: {expected}\n"
