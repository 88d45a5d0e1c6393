"""Releasing and rolling back without servers, and what is left when a server fails."""

import asyncio
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from genrestream.cli.main import app
from genrestream.repository import GOLDEN, GRAPH, Candidate, Repository, RepositoryError, add_candidate
from genrestream.repository.golden import Golden, check_golden, pack_golden, read_golden
from genrestream.schemas.releases import Gate, GateFigure, Release, ReleaseAction, Wanted
from genrestream.training.errors import TrainingError
from genrestream.training.gates import describe
from genrestream.training.release import Offline, choose_candidate, choose_rollback, release, rollback

COMMITTED = Path(__file__).parents[3] / "triton_models"
HEAD = "podcast-genres"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A copy of the committed starter models; version 1 is live."""
    shutil.copytree(COMMITTED, tmp_path / "models", ignore=shutil.ignore_patterns(".candidates"))
    return Repository(tmp_path / "models")


def gate(rival: str = f"{HEAD} version 1", *, passed: bool = True) -> Gate:
    """What the candidate was measured against."""
    return Gate(
        rival=rival, figure=GateFigure.MEAN_AP, items=80, head=0.6, other=0.5, wins=0.85, passed=passed
    )


WORSE = Gate(
    rival="text alone on text+image",
    figure=GateFigure.MEAN_AP,
    wanted=Wanted.NOT_WORSE,
    items=60,
    head=0.4,
    other=0.5,
    wins=0.01,
    lead=(-0.15, -0.04),
    passed=False,
)


def train_again(
    repository: Repository, run: str = "again", gates: tuple[Gate, ...] = (gate(),), **changed: bytes
) -> Candidate:
    """A candidate with the files of version 1, as if it had been trained now and had passed `gates`."""
    folder = repository.version_dir(HEAD, 1)
    files = {path.name: path for path in folder.iterdir() if path.name != "release.json"}
    record = repository.release(HEAD, 1).model_copy(update={"created_at": datetime.now(UTC), "gates": gates})
    return add_candidate(repository.root, run, {**files, **changed}, record)


class Failing(Offline):
    """Servers of which one step fails."""

    def __init__(self, repository: Repository, step: str) -> None:
        super().__init__(repository)
        self._step = step

    async def require_ready(self) -> None:
        if self._step == "require_ready":
            raise ConnectionError("require_ready")

    async def load(self, model: str, *versions: int) -> None:
        if self._step == "load":
            raise ConnectionError("load")

    async def confidences(self, release: Release, golden: Golden) -> np.ndarray:
        found = await super().confidences(release, golden)
        return found + 0.01 if self._step == "confidences" else found

    async def announce(self, release: Release, action: ReleaseAction) -> None:
        if self._step == "announce":
            raise ConnectionError("announce")


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


async def test_a_release_goes_live_and_a_rollback_brings_the_old_one_back(repository):
    """Version 2 is live after the release and its candidate gone; the rollback makes version 1 live, and a
    second rollback version 2 again. Triton's configuration names both versions all the time."""
    candidate = train_again(repository)
    released = await release(repository, candidate, Offline(repository))
    assert (released.model, released.version) == (HEAD, 2)
    assert repository.candidates(HEAD) == []
    live = repository.live(HEAD)
    assert live is not None
    assert (live.version, live.action, live.previous and live.previous.version) == (2, "release", 1)
    for version in (1, 2):
        target = choose_rollback(repository, HEAD, None)
        assert target.version == version
        await rollback(repository, target, Offline(repository))
        live = repository.live(HEAD)
        assert live is not None
        assert (live.version, live.action) == (version, "rollback")
        config = (repository.root / HEAD / "config.pbtxt").read_text()
        assert "versions: [ 1, 2 ]" in config


@pytest.mark.parametrize("step", ["require_ready", "load", "confidences", "announce"])
async def test_a_release_that_fails_leaves_everything_as_it_was(repository, step):
    """Whichever server fails when: the folder is the same byte for byte, the candidate stays for another
    try, and that one succeeds."""
    candidate = train_again(repository)
    before = snapshot(repository.root)
    with pytest.raises((ConnectionError, RepositoryError)):
        await release(repository, candidate, Failing(repository, step))
    assert snapshot(repository.root) == before
    assert (await release(repository, candidate, Offline(repository))).version == 2


async def test_a_first_release_that_fails_leaves_no_model_behind(repository):
    """A head that was never released has no folder after the failure."""
    candidate = train_again(repository)
    shutil.rmtree(repository.root / HEAD)
    with pytest.raises(ConnectionError, match="announce"):
        await release(repository, candidate, Failing(repository, "announce"))
    assert not (repository.root / HEAD).exists()


async def test_a_candidate_that_fails_its_golden_batch_is_not_released(repository):
    """Its graph gives other confidences than were expected when it was trained."""
    golden = read_golden(repository.version_dir(HEAD, 1) / GOLDEN)
    wrong = pack_golden(Golden(golden.inputs, golden.confidences[::-1].copy()))
    candidate = train_again(repository, **{GOLDEN: wrong})
    before = snapshot(repository.root)
    with pytest.raises(RepositoryError, match="the candidate fails the golden batch"):
        await release(repository, candidate, Offline(repository))
    assert snapshot(repository.root) == before


def test_a_gate_says_by_how_much():
    """The figures, and what came of the draws: the wins that were wanted, or the lead that must not be
    below 0."""
    assert describe(gate("TF-IDF")) == (
        "TF-IDF: mean average precision 0.600 against 0.500, better in 85% of 400 draws of its 80 test "
        "items, wanted are 90%"
    )
    assert describe(WORSE) == (
        "text alone on text+image: mean average precision 0.400 against 0.500, a lead of -0.150 to -0.040 in "
        "95 % of 400 draws of its 60 test items"
    )


@pytest.mark.parametrize(
    ("gates", "reason"),
    [
        ((), "it was not measured against anything"),
        (
            (gate(), gate("TF-IDF", passed=False)),
            f"it does not beat {describe(gate('TF-IDF'))}",
        ),
        (
            (gate(), WORSE),
            f"it is worse than {describe(WORSE)}",
        ),
        (
            (gate("podcast-genres version 7"),),
            "it was not measured against podcast-genres version 1, which is live",
        ),
    ],
)
async def test_what_beats_nothing_is_released_by_force_alone(repository, gates, reason):
    """Without it the reason is said and nothing changes; with it the release's record holds the reason."""
    candidate = train_again(repository, gates=gates)
    before = snapshot(repository.root)
    with pytest.raises(TrainingError, match=f"podcast-genres is not released: {re.escape(reason)} "):
        await release(repository, candidate, Offline(repository))
    assert snapshot(repository.root) == before
    released = await release(repository, candidate, Offline(repository), force=True)
    assert released.forced == (reason,)
    assert repository.release(HEAD, 2) == released


async def test_a_damaged_candidate_is_not_released(repository):
    """A graph that was changed after training does not have the checksum of its record."""
    candidate = train_again(repository)
    graph = candidate.directory / GRAPH
    graph.write_bytes(graph.read_bytes() + b"\0\0")
    with pytest.raises(RepositoryError):
        await release(repository, candidate, Offline(repository))
    assert repository.versions(HEAD) == [1]


async def test_a_rollback_to_a_damaged_version_is_refused(repository):
    """Its files are compared with its record before anything changes."""
    await release(repository, train_again(repository), Offline(repository))
    graph = repository.version_dir(HEAD, 1) / GRAPH
    graph.write_bytes(graph.read_bytes()[:-1])
    with pytest.raises(RepositoryError, match=r"model\.onnx is not the file that its record describes"):
        await rollback(repository, choose_rollback(repository, HEAD, 1), Offline(repository))
    live = repository.live(HEAD)
    assert live is not None
    assert live.version == 2


def test_what_cannot_be_chosen_is_said(repository):
    """No candidate, several heads with one, no such version, nothing before the first."""
    with pytest.raises(TrainingError, match=r"no candidate in .*: `genrestream train` makes one"):
        choose_candidate(repository, None)
    with pytest.raises(TrainingError, match="no candidate of track-genres in "):
        choose_candidate(repository, "track-genres")
    with pytest.raises(TrainingError, match="no version of podcast-genres was live before version 1"):
        choose_rollback(repository, HEAD, None)
    with pytest.raises(TrainingError, match=r"no version 7 of podcast-genres \(there are: 1\)"):
        choose_rollback(repository, HEAD, 7)
    with pytest.raises(TrainingError, match="podcast-moods was never released"):
        choose_rollback(repository, "podcast-moods", None)
    repository.restore_live(HEAD, None)
    with pytest.raises(TrainingError, match="podcast-genres is retired: say with --to which version"):
        choose_rollback(repository, HEAD, None)
    assert choose_rollback(repository, HEAD, 1).version == 1
    train_again(repository)
    track = repository.release("track-genres", 1)
    files = {
        path.name: path
        for path in repository.version_dir("track-genres", 1).iterdir()
        if path.name != "release.json"
    }
    add_candidate(repository.root, "other", files, track)
    with pytest.raises(TrainingError, match="several heads have a candidate, name one: podcast-genres"):
        choose_candidate(repository, None)


def test_a_retired_head_is_measured_when_its_version_is_named(repository, tmp_path):
    """Without one it is said which heads wait for that."""
    repository.restore_live(HEAD, None)
    asked = ["evaluate", HEAD, str(tmp_path), "--models", str(repository.root)]
    refused = CliRunner().invoke(app, asked)
    assert str(refused.exception) == "podcast-genres is retired: say with --version which one"
    found = CliRunner().invoke(app, [*asked, "--version", "1"])
    assert str(found.exception).startswith(f"no catalogue set at {tmp_path}")


def test_the_newest_candidate_is_chosen(repository):
    """Of two, the one trained last."""
    train_again(repository, "first")
    train_again(repository, "second")
    assert choose_candidate(repository, None).run == "second"


@pytest.mark.parametrize("head", ["event-genres", "podcast-genres", "track-genres"])
def test_the_committed_heads_pass_their_golden_batch(head):
    """Through ONNX Runtime; the files are those of the records, and each is smaller than 500 KB."""
    repository = Repository(COMMITTED)
    live = repository.live(head)
    assert live is not None
    repository.verify(live.model, live.version)
    directory = repository.version_dir(live.model, live.version)
    golden = read_golden(directory / GOLDEN)
    found = asyncio.run(Offline(repository).confidences(repository.release(live.model, live.version), golden))
    assert check_golden(golden, found, head) < 1e-4
    assert sum(path.stat().st_size for path in directory.iterdir()) < 500_000


def test_golden_batches_are_read_back_and_nothing_else_is(tmp_path):
    """What was packed comes back; a truncated file, another archive and no file are one line each."""
    golden = Golden({"presence": np.ones((2, 3), np.float32)}, np.full((2, 4), 0.25, np.float32))
    path = tmp_path / "golden.npz"
    path.write_bytes(pack_golden(golden))
    again = read_golden(path)
    assert again.inputs["presence"].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert again.confidences.tolist() == golden.confidences.tolist()
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RepositoryError, match=r"golden\.npz is no golden batch"):
        read_golden(path)
    np.savez(path, presence=np.ones(1))
    with pytest.raises(RepositoryError, match=r"golden\.npz is no golden batch"):
        read_golden(path)
    with pytest.raises(RepositoryError, match="cannot read "):
        read_golden(tmp_path / "none.npz")


def test_golden_confidences_have_to_fit():
    """0.002 off is allowed, 0.003 is not, nor another shape, nor NaN."""
    golden = Golden({}, np.full((2, 2), 0.5, np.float32))
    assert check_golden(golden, golden.confidences + 0.0019, "it") == pytest.approx(0.0019, abs=1e-6)
    for found, message in [
        (golden.confidences + 0.003, "it fails the golden batch: a confidence differs by 0.003"),
        (golden.confidences[:1], r"it gives confidences of shape \[1, 2\] for the golden batch"),
        (np.full((2, 2), np.nan), "it fails the golden batch: a confidence differs by nan"),
    ]:
        with pytest.raises(RepositoryError, match=message):
            check_golden(golden, found, "it")
