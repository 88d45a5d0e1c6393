"""Artifacts from Maven Central, each held to its SHA-256."""

import hashlib
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

DOWNLOADS_AT_ONCE = 4
DOWNLOAD_TIMEOUT_S = 120


class MavenError(Exception):
    """A jar cannot be had, or is not the one that was meant."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One artifact and the SHA-256 of its file."""

    group: str
    artifact: str
    version: str
    sha256: str

    def path_in(self, repository: Path) -> Path:
        """Where a Maven repository keeps it."""
        folder = repository.joinpath(*self.group.split("."), self.artifact, self.version)
        return folder / f"{self.artifact}-{self.version}.jar"


def fetch(jars: Sequence[Jar], repository: Path) -> int:
    """Downloads the jars that are missing or damaged and returns how many those were.

    Raises `MavenError` when one cannot be had or has another SHA-256.
    """
    wanted = [jar for jar in jars if _sha256(jar.path_in(repository)) != jar.sha256]
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        for _ in pool.map(lambda jar: _fetch_one(jar, repository), wanted):
            pass
    return len(wanted)


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


def _fetch_one(jar: Jar, repository: Path) -> None:
    # Only fetching needs jgo: with the jars there, all starts without it.
    import requests  # noqa: PLC0415
    from jgo.config import GlobalSettings  # noqa: PLC0415
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    repository.mkdir(parents=True, exist_ok=True)
    # A folder of its own: what is broken off or wrong never reaches the repository.
    with tempfile.TemporaryDirectory(dir=repository) as folder:
        context = MavenContext(
            repo_cache=Path(folder),
            remote_repos={"central": MAVEN_CENTRAL_URL} | GlobalSettings.load().repositories,
            timeout=DOWNLOAD_TIMEOUT_S,
        )
        try:
            path = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
        except (requests.RequestException, RuntimeError, OSError) as error:
            raise MavenError(f"cannot download {jar.artifact} {jar.version} from Maven: {error}") from error
        if _sha256(path) != jar.sha256:
            raise MavenError(f"{jar.artifact} {jar.version} from Maven has another SHA-256 than was expected")
        target = jar.path_in(repository)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
