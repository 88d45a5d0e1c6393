"""From a candidate to what is live: version folder, load, golden batch, live pointer, announcement.

The order makes a crash harmless: until the pointer is written nothing has changed for anybody, and from then
on the start of a stack announces what the pointer says. What failed on the way is withdrawn.
"""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from genrestream.repository import GOLDEN, GRAPH, Candidate, Repository
from genrestream.repository.golden import Golden, check_golden, read_golden
from genrestream.repository.layout import head_name
from genrestream.schemas.releases import Release, ReleaseAction
from genrestream.schemas.tensors import CONFIDENCES
from genrestream.training.errors import TrainingError
from genrestream.training.gates import refusals


class Servers(Protocol):
    """What a release asks of Triton and Kafka; each raises its own one-line error."""

    async def require_ready(self) -> None:
        """Return if both servers answer."""
        ...

    async def load(self, model: str, *versions: int) -> None:
        """Load the model as its configuration says; return when the versions take requests."""
        ...

    async def confidences(self, release: Release, golden: Golden) -> NDArray[np.float32]:
        """What the served head gives for the golden batch."""
        ...

    async def announce(self, release: Release, action: ReleaseAction) -> None:
        """Return once the announcement is on all in-sync replicas."""
        ...


class Offline:
    """No servers: the graph is run in process, and the next start of a stack announces what is live."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    async def require_ready(self) -> None:
        """Nothing to wait for."""

    async def load(self, model: str, *versions: int) -> None:
        """Check that the files are those of the versions' records."""
        for version in versions:
            self._repository.verify(model, version)

    async def confidences(self, release: Release, golden: Golden) -> NDArray[np.float32]:
        """What the graph gives in this process."""
        directory = self._repository.version_dir(release.model, release.version)
        return _run(directory, golden)

    async def announce(self, release: Release, action: ReleaseAction) -> None:
        """Left to the next start of a stack."""


def choose_candidate(repository: Repository, head: str | None) -> Candidate:
    """The newest candidate of the head, or of the only head that has one.

    Raises:
        TrainingError: there is none, or several heads have one and none is named.
    """
    if head is not None:
        found = repository.candidates(head)
        if not found:
            raise TrainingError(f"no candidate of {head} in {repository.root}: `genrestream train` makes one")
        return found[-1]
    newest = {name: found[-1] for name in repository.heads() if (found := repository.candidates(name))}
    if not newest:
        raise TrainingError(f"no candidate in {repository.root}: `genrestream train` makes one")
    if len(newest) > 1:
        raise TrainingError(f"several heads have a candidate, name one: {', '.join(sorted(newest))}")
    return next(iter(newest.values()))


async def release(
    repository: Repository, candidate: Candidate, servers: Servers, *, force: bool = False
) -> Release:
    """The candidate as a live version; the candidate's folder is gone then.

    Forced, it goes live whatever its gates say, and its record says which it did not pass.

    Raises:
        TrainingError: it does not beat what is simpler or what is live; nothing has changed.
        RepositoryError: it is damaged, or fails its golden batch; nothing is live that was not before.
        The servers' errors likewise.
    """
    live = repository.live(head_name(candidate.release.kind, candidate.release.task))
    reasons = refusals(candidate.release, live)
    if reasons and not force:
        raise TrainingError(f"{candidate.release.model} is not released: {'; '.join(reasons)} (--force)")
    golden = read_golden(candidate.directory / GOLDEN)
    check_golden(golden, _run(candidate.directory, golden), "the candidate")
    await servers.require_ready()
    released = repository.promote(candidate, forced=reasons)
    try:
        repository.keep_page(candidate, released)
        await _make_live(repository, released, ReleaseAction.RELEASE, servers)
    except BaseException:
        _withdraw(repository, released)
        raise
    shutil.rmtree(candidate.directory, ignore_errors=True)
    return released


def choose_rollback(repository: Repository, head: str, version: int | None) -> Release:
    """The release to go back to: the named version, else the one that was live before.

    Raises:
        TrainingError: the head was never released, is retired, or there is no such version.
    """
    releases = repository.releases(head)
    if not releases:
        raise TrainingError(f"{head} was never released: there is nothing to roll back")
    if version is not None:
        found = [known for known in releases if known.version == version]
        if not found:
            there = ", ".join(str(known.version) for known in releases)
            raise TrainingError(f"no version {version} of {head} (there are: {there})")
        return found[-1]
    live = repository.live(head)
    if live is None:
        raise TrainingError(f"{head} is retired: say with --to which version is to be live again")
    if live.previous is None:
        raise TrainingError(f"no version of {head} was live before version {live.version}")
    return repository.release(live.previous.model, live.previous.version)


async def rollback(repository: Repository, target: Release, servers: Servers) -> None:
    """Make the older version live again; announced as a rollback.

    Raises:
        RepositoryError: the version is damaged or fails its golden batch; nothing has changed then.
        The servers' errors likewise.
    """
    repository.verify(target.model, target.version)
    await servers.require_ready()
    repository.write_config(target.model, {target.version, *repository.served_versions(target.model)})
    await _make_live(repository, target, ReleaseAction.ROLLBACK, servers)


async def _make_live(
    repository: Repository, release: Release, action: ReleaseAction, servers: Servers
) -> None:
    for encoder in release.encoders.values():
        repository.verify(encoder.model, encoder.version)
        repository.write_config(encoder.model, {encoder.version, *repository.served_versions(encoder.model)})
        await servers.load(encoder.model, encoder.version)
    await servers.load(release.model, release.version)
    golden = read_golden(repository.version_dir(release.model, release.version) / GOLDEN)
    found = await servers.confidences(release, golden)
    check_golden(golden, found, f"{release.model} version {release.version}")
    head = head_name(release.kind, release.task)
    before = repository.live(head)
    repository.set_live(release, action, datetime.now(UTC))
    try:
        await servers.announce(release, action)
    except BaseException:
        repository.restore_live(head, before)
        raise
    repository.write_config(release.model)


def _withdraw(repository: Repository, release: Release) -> None:
    """Take the version away, and its page."""
    if (page := repository.page(release.model, release.version)) is not None:
        page.unlink()
    repository.withdraw(release.model, release.version)


def _run(directory: Path, golden: Golden) -> NDArray[np.float32]:
    """What the graph in the folder gives in this process."""
    # Every command loads this file, also a worker's, which needs no ONNX Runtime and is to be back soon.
    from genrestream.repository.graph import Graph  # noqa: PLC0415

    found: NDArray[np.float32] = Graph(directory / GRAPH).run(golden.inputs, CONFIDENCES)
    return found
