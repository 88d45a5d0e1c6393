"""A model repository on a disk that is really full: nothing half-written, and what was live stays live."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from drills.disk import NoNamespacesError, SmallDisk, small_disk
from drills.release import train_again
from genrestream.repository import Repository
from genrestream.training.disk_arrays import IN_MEMORY_BYTES, FieldsOnDisk, TermsOnDisk, zeros_on_disk
from genrestream.training.errors import TrainingError
from genrestream.workers.features.content import HashedTerms

HEAD = "podcast-genres"


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    """64 MiB that a test may fill."""
    try:
        with small_disk(64 * 2**20) as disk:
            yield disk
    except NoNamespacesError as error:
        pytest.skip(str(error))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_training_that_finds_no_room_for_its_arrays_says_so(disk: SmallDisk, monkeypatch) -> None:
    """Claim: what a training keeps in files is refused when it is asked for, in one line; a file with holes
    would end the process on the first page that the disk has no room for.
    """
    monkeypatch.setattr(tempfile, "tempdir", str(disk.folder))
    with pytest.raises(TrainingError, match=r"no room for 134 MB in .*: No space left on device"):
        zeros_on_disk((2 * IN_MEMORY_BYTES,), np.uint8)
    terms = TermsOnDisk(disk.folder / "store")
    terms.append(HashedTerms(np.arange(100, dtype=np.int32), np.ones(100, np.float32)))
    fields = FieldsOnDisk(disk.folder / "store")
    fields.append(("read from a poster",))
    disk.fill(leave_bytes=0)
    with pytest.raises(TrainingError, match="cannot keep hashed terms: No space left on device"):
        terms.rows(1000)
    with pytest.raises(TrainingError, match="cannot keep texts: No space left on device"):
        fields.all()


def test_a_release_that_does_not_fit_changes_nothing(disk: SmallDisk) -> None:
    """Claim: with room for half of the new version, `release` ends with one line that says so; the version is
    not there, no temporary folder stays, and the pointer to what is live is untouched.
    """
    models = disk.folder / "triton_models"
    shutil.copytree("triton_models", models, ignore=shutil.ignore_patterns(".candidates"))
    train_again(models, HEAD)
    folder = Repository(models).version_dir(HEAD, 1)
    disk.fill(leave_bytes=sum(path.stat().st_size for path in folder.iterdir()) // 2)
    before = contents(models / HEAD)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "genrestream",
            "release",
            HEAD,
            "--force",
            "--offline",
            "--models",
            str(models),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr
    assert contents(models / HEAD) == before
    names = {name.split("/")[0] for name in before}
    assert {path.name for path in (models / HEAD).iterdir()} == names
