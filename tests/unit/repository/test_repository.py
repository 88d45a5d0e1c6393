"""Reading a repository: records, checksums, what is live, what to use, what Triton holds."""

from datetime import UTC, datetime, timedelta

import pytest

from genrestream.repository import Repository, RepositoryError, add_candidate, add_version
from genrestream.schemas import Kind, ReleaseAction

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FILES = {"model.onnx": b"graph"}


@pytest.fixture
def repository(root, image_encoder):
    """A repository with one encoder."""
    repository = Repository(root)
    repository.add_encoder(FILES, image_encoder())
    return repository


def released(repository, head, run, at=NOON, **fields):
    """Train, promote and announce a head; the release as it is live then."""
    candidate = add_candidate(repository.root, run, FILES, head(created_at=at, **fields))
    release = repository.promote(candidate)
    repository.set_live(release, ReleaseAction.RELEASE, at + timedelta(minutes=1))
    return release


def test_adding_an_encoder_writes_its_configuration(repository):
    """Triton can load an encoder as soon as it is added."""
    (record,) = repository.encoders()
    assert (record.model, record.version) == ("image-test", 1)
    assert "versions: [ 1 ]" in (repository.root / "image-test" / "config.pbtxt").read_text()
    assert repository.newest_encoder("image-test") == record


def test_an_encoder_of_another_size_becomes_a_model_beside(repository, image_encoder):
    """The size is part of Triton's configuration, so it cannot be a version of the same model."""
    record = repository.add_encoder(FILES, image_encoder(dim=8))
    assert (record.model, record.version) == ("image-test.2", 1)
    assert [encoder.model for encoder in repository.encoders()] == ["image-test", "image-test.2"]


def test_what_is_withdrawn_leaves_no_trace(repository, image_encoder):
    """The folder is as it was before the version was added, and empty after the last one."""
    before = {path: path.read_bytes() for path in repository.root.rglob("*") if path.is_file()}
    for record in (image_encoder(), image_encoder(dim=8)):
        added = repository.add_encoder({"model.onnx": b"second"}, record)
        repository.withdraw(added.model, added.version)
        assert {path: path.read_bytes() for path in repository.root.rglob("*") if path.is_file()} == before
    repository.withdraw("image-test", 1)
    assert list(repository.root.iterdir()) == []
    with pytest.raises(RepositoryError, match=r"cannot remove .*image-test/1"):
        repository.withdraw("image-test", 1)


def test_an_encoder_without_a_configuration_is_not_left(root, image_encoder, monkeypatch):
    """Triton could not load it, and the next training would count on it."""
    repository = Repository(root)
    root.mkdir(exist_ok=True)

    def full_disk(*_: object) -> None:
        raise RepositoryError("cannot write config.pbtxt: No space left on device")

    monkeypatch.setattr(repository, "write_config", full_disk)
    with pytest.raises(RepositoryError, match="No space left on device"):
        repository.add_encoder(FILES, image_encoder())
    assert list(root.iterdir()) == []


def test_a_first_release_is_live(repository, head):
    """Promoting and pointing makes version 1 live, with nothing before it."""
    release = released(repository, head, "run-1")
    assert (release.model, release.version) == ("event-genres", 1)
    live = repository.live("event-genres")
    assert (live.model, live.version, live.previous) == ("event-genres", 1, None)
    assert repository.heads() == ["event-genres"]
    assert repository.release("event-genres", 1) == release


def test_the_version_before_the_live_one_stays_served(repository, head):
    """After three releases Triton holds the last two; a rollback needs no loading."""
    for number in (1, 2, 3):
        released(repository, head, f"run-{number}", at=NOON + number * HOUR)
    live = repository.live("event-genres")
    assert (live.version, live.previous.version) == (3, 2)
    assert repository.served() == {"event-genres": [2, 3], "image-test": [1]}
    repository.write_config("event-genres")
    assert "versions: [ 2, 3 ]" in (repository.root / "event-genres" / "config.pbtxt").read_text()


def test_a_promoted_version_is_served_beside_the_live_one(repository, head):
    """While a release is checked, workers still pin the live version."""
    released(repository, head, "run-1")
    repository.promote(add_candidate(repository.root, "run-2", FILES, head()))
    assert "versions: [ 1, 2 ]" in (repository.root / "event-genres" / "config.pbtxt").read_text()
    assert repository.live("event-genres").version == 1


def test_announcing_the_live_version_again_keeps_its_predecessor(repository, head):
    """Otherwise a repeated announcement would make a rollback go nowhere."""
    released(repository, head, "run-1")
    release = released(repository, head, "run-2", at=NOON + HOUR)
    pointer = repository.set_live(release, ReleaseAction.RELEASE, NOON + 3 * HOUR)
    assert (pointer.version, pointer.previous.version) == (2, 1)


def test_a_head_with_other_labels_becomes_a_model_beside_and_can_be_rolled_back(repository, head):
    """A changed taxonomy changes the output's size; both models are served while either may be live."""
    first = released(repository, head, "run-1")
    second = released(repository, head, "run-2", at=NOON + HOUR, labels=("folk", "jazz", "rock"))
    assert (second.model, second.version) == ("event-genres.2", 1)
    assert repository.served() == {"event-genres": [1], "event-genres.2": [1], "image-test": [1]}
    assert repository.releases("event-genres") == [first, second]
    assert repository.heads() == ["event-genres"]

    pointer = repository.set_live(first, ReleaseAction.ROLLBACK, NOON + 2 * HOUR)
    assert (pointer.model, pointer.action, pointer.previous.model) == (
        "event-genres",
        "rollback",
        "event-genres.2",
    )


def test_encoders_of_served_heads_stay_served(repository, head, image_encoder):
    """A newer encoder version does not push out the one that a live head was trained with."""
    released(repository, head, "run-1", image_version=1)
    repository.add_encoder({"model.onnx": b"second"}, image_encoder())
    repository.add_encoder({"model.onnx": b"third"}, image_encoder())
    assert repository.served_versions("image-test") == [1, 3]


def test_a_candidate_trained_after_the_release_is_newest(repository, head):
    """`classify` uses what was trained last; an older candidate loses to the live version."""
    released(repository, head, "run-1", at=NOON)
    (choice,) = repository.newest()
    assert (choice.run, choice.release.version) == (None, 1)

    add_candidate(repository.root, "run-2", FILES, head(created_at=NOON + HOUR))
    (choice,) = repository.newest(Kind.EVENT)
    assert choice.run == "run-2"
    assert choice.graph == repository.root / ".candidates" / "event-genres" / "run-2" / "model.onnx"
    assert repository.newest(Kind.TRACK) == []


def test_a_candidate_without_any_release_is_newest(repository, head):
    """What was trained can be tried before anything was released."""
    add_candidate(repository.root, "run-1", FILES, head())
    assert [choice.run for choice in repository.newest()] == ["run-1"]
    assert repository.heads() == ["event-genres"]


def test_each_task_has_its_own_head(repository, head):
    """Two tasks of a kind are two heads with a live pointer each."""
    released(repository, head, "run-1")
    released(repository, head, "run-1", task="moods")
    assert repository.heads() == ["event-genres", "event-moods"]
    assert [choice.release.task for choice in repository.newest()] == ["genres", "moods"]


def test_changed_missing_and_added_files_are_found(repository):
    """A version whose files are not those of its record is never served unnoticed."""
    directory = repository.version_dir("image-test", 1)
    repository.verify("image-test", 1)

    (directory / "stray").write_bytes(b"")
    with pytest.raises(RepositoryError, match=r"stray is not in the folder's record"):
        repository.verify("image-test", 1)
    (directory / "stray").unlink()

    (directory / "model.onnx").write_bytes(b"grapf")
    with pytest.raises(RepositoryError, match=r"model\.onnx is not the file"):
        repository.verify("image-test", 1)

    (directory / "model.onnx").unlink()
    with pytest.raises(RepositoryError, match=r"model\.onnx is missing"):
        repository.verify("image-test", 1)


def test_a_tampered_candidate_is_not_promoted(repository, head):
    """Promotion checks the candidate's files against its record."""
    candidate = add_candidate(repository.root, "run-1", FILES, head())
    (candidate.directory / "model.onnx").write_bytes(b"other")
    with pytest.raises(RepositoryError, match="is not the file that its record describes"):
        repository.promote(candidate)
    assert repository.versions("event-genres") == []


def test_what_is_not_there_is_one_clear_line(repository, tmp_path):
    """Missing repositories, models, versions and records are named."""
    with pytest.raises(RepositoryError, match="no model repository at"):
        Repository(tmp_path / "absent").encoders()
    with pytest.raises(RepositoryError, match="no version 7 of image-test"):
        repository.version_dir("image-test", 7)
    with pytest.raises(RepositoryError, match="no encoder text-test"):
        repository.newest_encoder("text-test")
    with pytest.raises(RepositoryError, match=r"no such file: .*release\.json"):
        repository.release("image-test", 1)


@pytest.mark.parametrize(
    ("text", "fault"),
    [("{", "Invalid JSON"), ('{"model": "image-test"}', "version: Field required"), ("[]", "")],
)
def test_a_broken_record_is_one_clear_line(repository, text, fault):
    """The file and the first fault are named."""
    (repository.root / "image-test" / "1" / "encoder.json").write_text(text)
    with pytest.raises(RepositoryError, match=rf"encoder\.json is no encoder's record: .*{fault}") as caught:
        repository.encoders()
    assert "\n" not in str(caught.value)


def test_a_record_in_the_wrong_folder_is_refused(repository):
    """A copied folder would announce a version that it is not."""
    (repository.root / "image-test" / "1").rename(repository.root / "image-test" / "2")
    with pytest.raises(RepositoryError, match="holds the record of image-test 1"):
        repository.encoder("image-test", 2)


def test_an_oversized_record_is_refused(repository):
    """Reading a record is limited to 4 MiB."""
    (repository.root / "image-test" / "1" / "encoder.json").write_bytes(b" " * (4 * 1024 * 1024 + 1))
    with pytest.raises(RepositoryError, match="is larger than 4194304 bytes"):
        repository.encoder("image-test", 1)


def test_a_broken_live_pointer_is_one_clear_line(repository, head):
    """Serving must not guess what is live."""
    released(repository, head, "run-1")
    (repository.root / "event-genres" / "live.json").write_text('{"version": 0}')
    with pytest.raises(RepositoryError, match=r"live\.json is no live pointer"):
        repository.newest()


def test_stray_folders_are_no_models(repository):
    """Editors' and Triton's own folders in the repository do no harm."""
    for name in (".cache", "Lost Found", "empty"):
        (repository.root / name / "x").mkdir(parents=True)
    add_version(repository.root, "image-test", FILES, repository.encoder("image-test", 1))
    assert repository.models() == ["image-test"]
    assert repository.versions("image-test") == [1, 2]
