"""Versions appear completely or not at all, and are never replaced."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from genrestream.repository import Repository, RepositoryError, add_candidate, add_version
from genrestream.repository.versions import free_model

FILES = {"model.onnx": b"graph"}

# SHA-256 of b"graph": `printf graph | sha256sum`.
GRAPH_SHA256 = "eef93e1d14482804277fca0172464032d1a4fdbcc338524059fa1e861454ad4d"


def test_versions_count_up_and_carry_their_checksums(root, image_encoder):
    """The first version is 1, the next 2; the record says which it is and what its files sum to."""
    assert add_version(root, "image-test", FILES, image_encoder()) == 1
    assert add_version(root, "image-test", FILES, image_encoder()) == 2

    record = Repository(root).encoder("image-test", 2)
    assert record.version == 2
    assert record.checksums == {"model.onnx": GRAPH_SHA256}
    assert sorted(path.name for path in (root / "image-test" / "2").iterdir()) == [
        "encoder.json",
        "model.onnx",
    ]


def test_a_path_is_copied(root, tmp_path, image_encoder):
    """Large files are given as paths."""
    source = tmp_path / "large.onnx"
    source.write_bytes(b"graph")
    add_version(root, "image-test", {"model.onnx": source}, image_encoder())
    assert (root / "image-test" / "1" / "model.onnx").read_bytes() == b"graph"


def test_others_may_read_a_version(root, image_encoder):
    """Triton may run as another user: the folder has the modes that the umask gives, not a private one."""
    before = os.umask(0o022)
    try:
        add_version(root, "image-test", FILES, image_encoder())
    finally:
        os.umask(before)
    directory = root / "image-test" / "1"
    assert directory.stat().st_mode & 0o777 == 0o755
    assert (directory / "model.onnx").stat().st_mode & 0o777 == 0o644


def test_a_source_that_cannot_be_read_leaves_nothing(root, tmp_path, image_encoder):
    """A failed addition leaves no version and no temporary folder."""
    with pytest.raises(RepositoryError, match=r"cannot add a version .*No such file"):
        add_version(root, "image-test", {"model.onnx": tmp_path / "absent"}, image_encoder())
    assert list((root / "image-test").iterdir()) == []


def test_simultaneous_additions_all_get_a_version_of_their_own(root, image_encoder):
    """The rename decides who gets a number; the other takes the next."""
    contents = [b"graph %d" % number for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        added = list(
            pool.map(
                lambda content: add_version(root, "image-test", {"model.onnx": content}, image_encoder()),
                contents,
            )
        )
    assert sorted(added) == [1, 2, 3, 4, 5, 6, 7, 8]
    repository = Repository(root)
    for version, content in zip(added, contents, strict=True):
        assert (root / "image-test" / str(version) / "model.onnx").read_bytes() == content
        repository.verify("image-test", version)


KILLED_WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from genrestream.repository import add_version
from genrestream.schemas import EncoderRecord, ImageFeatures, Modality

record = EncoderRecord(
    model="image-test", version=1, modality=Modality.IMAGE,
    features=ImageFeatures(height_px=32, width_px=16), embedding_dim=4, source="test", licence="none",
    checksums={}, created_at=datetime.now(UTC),
)
print("ready", flush=True)
while True:
    add_version(Path(sys.argv[1]), "image-test", {"model.onnx": bytes(2_000_000), "b": b"b"}, record)
"""


def test_a_writer_that_is_killed_leaves_only_complete_versions(root):
    """SIGKILL at any moment: every version that can be seen is whole, the rest is under temporary names."""
    for delay_s in (0.03, 0.05, 0.08):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED_WRITER, str(root)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            while not (root / "image-test").exists():
                time.sleep(0.001)
            time.sleep(delay_s)
            writer.send_signal(signal.SIGKILL)

    repository = Repository(root)
    for version in repository.versions("image-test"):
        repository.verify("image-test", version)
    seen = {path.name for path in (root / "image-test").iterdir()}
    complete = {str(version) for version in repository.versions("image-test")}
    assert complete
    assert all(name.startswith(".unfinished-") for name in seen - complete)


def test_what_a_dead_writer_left_is_removed_after_an_hour(root, image_encoder):
    """Temporary folders do not pile up, and a writer at work is left alone."""
    old, fresh = root / "image-test" / ".unfinished-old", root / "image-test" / ".unfinished-fresh"
    for left in (old, fresh):
        left.mkdir(parents=True)
    two_hours_ago = time.time() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))

    add_version(root, "image-test", FILES, image_encoder())

    assert not old.exists()
    assert fresh.exists()


@pytest.mark.parametrize("name", ["../model.onnx", ".hidden", "encoder.json", "a/b", ""])
def test_a_file_name_that_leaves_the_folder_is_refused(root, image_encoder, name):
    """Neither paths nor hidden files nor the record itself are files of a version."""
    with pytest.raises(RepositoryError, match="no name for a file"):
        add_version(root, "image-test", {name: b"x"}, image_encoder())


@pytest.mark.parametrize("model", ["../evil", "Image", "", "a" * 65, "image/test"])
def test_a_model_name_that_is_no_folder_is_refused(root, image_encoder, model):
    """Model names become folders, Kafka keys and metric labels."""
    record = image_encoder().model_copy(update={"model": model})
    with pytest.raises(RepositoryError, match="no model name"):
        add_version(root, model, FILES, record)


def test_versions_of_one_model_share_their_tensors(root, image_encoder):
    """Triton has one configuration a model, so another embedding size needs a model of its own."""
    add_version(root, "image-test", FILES, image_encoder(dim=4))
    with pytest.raises(RepositoryError, match="take or give other tensors"):
        add_version(root, "image-test", FILES, image_encoder(dim=8))
    assert free_model(root, image_encoder(dim=8)) == "image-test.2"
    assert free_model(root, image_encoder(dim=4)) == "image-test"


def test_a_head_never_lands_in_the_model_of_another_task(root, head):
    """A task named `genres.2` does not share a model with the second model of `genres`."""
    add_version(root, "event-genres.2", FILES, head(task="genres.2"))
    add_version(root, "event-genres", FILES, head())
    assert free_model(root, head(labels=("a", "b", "c"))) == "event-genres.3"


def test_a_candidate_is_kept_apart_and_named_once(root, head):
    """Candidates lie under `.candidates`, which Triton does not serve; a run's name is taken once."""
    candidate = add_candidate(root, "run-1", FILES, head())
    assert candidate.directory == root / ".candidates" / "event-genres" / "run-1"
    assert candidate.release.checksums == {"model.onnx": GRAPH_SHA256}
    assert candidate.files == {"model.onnx": candidate.directory / "model.onnx"}
    with pytest.raises(RepositoryError, match="candidate run-1 of event-genres is there already"):
        add_candidate(root, "run-1", FILES, head())


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path, image_encoder):
    """A file where the repository should be is reported, not raised as an OSError."""
    root = tmp_path / "file"
    Path(root).write_bytes(b"")
    with pytest.raises(RepositoryError, match=r"cannot add a version to .*Not a directory"):
        add_version(root, "image-test", FILES, image_encoder())
