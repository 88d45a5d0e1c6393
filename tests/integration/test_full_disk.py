"""A model repository on a disk that is really full: nothing half-written, and what was live stays live."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from genrestream.repository import Repository, add_candidate

HEAD = "podcast-genres"
AS_ROOT_OF_A_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
BLOCK = 4096


def can_mount() -> bool:
    try:
        return (
            subprocess.run([*AS_ROOT_OF_A_NAMESPACE, "true"], capture_output=True, check=False).returncode
            == 0
        )
    except FileNotFoundError:
        return False


pytestmark = pytest.mark.skipif(
    not can_mount(), reason="no user namespaces here, so no small disk can be mounted"
)


def blocks(folder: Path) -> int:
    """What the files in the folder take of a tmpfs, in blocks."""
    return sum(-(-path.stat().st_size // BLOCK) for path in folder.rglob("*") if path.is_file())


def test_a_release_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    """Claim: with room for half of the new version, `release` ends with one line that says so; the version is
    not there, no temporary folder stays, and the pointer to what is live is untouched.
    """
    models, disk = tmp_path / "models", tmp_path / "disk"
    shutil.copytree(Path("triton_models"), models, ignore=shutil.ignore_patterns(".candidates"))
    disk.mkdir()
    repository = Repository(models)
    folder = repository.version_dir(HEAD, 1)
    files = {path.name: path for path in folder.iterdir() if path.name != "release.json"}
    record = repository.release(HEAD, 1).model_copy(update={"created_at": datetime.now(UTC)})
    add_candidate(models, "full", files, record)
    size = (blocks(models) + blocks(folder) // 2) * BLOCK
    script = f"""
        mount -t tmpfs -o size={size} tmpfs {disk} && cp -a {models}/. {disk}/ || exit 99
        {sys.executable} -m genrestream release {HEAD} --offline --models {disk}
        echo "status $?"
        cd {disk}/{HEAD} && ls -A && cat live.json
    """
    done = subprocess.run(
        [*AS_ROOT_OF_A_NAMESPACE, "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr
    status, *listed = done.stdout.splitlines()
    assert status == "status 1"
    there = sorted(path.name for path in (models / HEAD).iterdir())
    assert sorted(listed[: len(there)]) == there
    assert "\n".join(listed[len(there) :]) == (models / HEAD / "live.json").read_text().rstrip("\n")
