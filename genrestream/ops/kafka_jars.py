"""Apache Kafka's jars from Maven Central, each held to its SHA-256 in `kafka_jars.txt`.

`python -m genrestream.ops.kafka_jars` fetches what is missing; with `--relock` it resolves the broker's
dependencies anew and rewrites the list.
"""

import hashlib
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from genrestream.ops.errors import StackError
from genrestream.ops.tools import tools_dir

KAFKA_VERSION = "4.1.1"
ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"
LIST = Path(__file__).with_name("kafka_jars.txt")
DOWNLOADS_AT_ONCE = 4
DOWNLOAD_TIMEOUT_S = 120


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


def listed_jars() -> list[Jar]:
    """The jars of the class path, in its order."""
    jars = []
    for line in LIST.read_text(encoding="ascii").splitlines():
        if line and not line.startswith("#"):
            sha256, coordinate = line.split()
            group, artifact, version = coordinate.split(":")
            jars.append(Jar(group, artifact, version, sha256))
    return jars


def _repository() -> Path:
    return tools_dir() / "kafka"


def class_path() -> str:
    """Kafka's class path.

    Raises `StackError` when a jar has not been fetched.
    """
    paths = [jar.path_in(_repository()) for jar in listed_jars()]
    missing = sum(not path.is_file() for path in paths)
    if missing:
        raise StackError(
            f"{missing} of Apache Kafka's {len(paths)} jars are missing: run `make setup`, "
            "or set KAFKA_BOOTSTRAP to a broker you have"
        )
    return ":".join(map(str, paths))


def fetch() -> int:
    """Downloads the jars that are missing or damaged and returns how many those were.

    Raises `StackError` when one cannot be had or is not what the list says.
    """
    repository = _repository()
    wanted = [jar for jar in listed_jars() if _sha256(jar.path_in(repository)) != jar.sha256]
    with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool:
        for _ in pool.map(lambda jar: _fetch_one(jar, repository), wanted):
            pass
    return len(wanted)


def _sha256(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _fetch_one(jar: Jar, repository: Path) -> None:
    # Only fetching needs jgo: with the jars there, the stack starts without it.
    import requests  # noqa: PLC0415
    from jgo.config import GlobalSettings  # noqa: PLC0415
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    # A folder of its own: what is broken off or wrong never reaches the repository.
    with tempfile.TemporaryDirectory(dir=_made(repository)) as folder:
        context = MavenContext(
            repo_cache=Path(folder),
            remote_repos={"central": MAVEN_CENTRAL_URL} | GlobalSettings.load().repositories,
            timeout=DOWNLOAD_TIMEOUT_S,
        )
        try:
            path = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
        except (requests.RequestException, RuntimeError, OSError) as error:
            raise StackError(f"cannot download {jar.artifact} {jar.version} from Maven: {error}") from error
        if _sha256(path) != jar.sha256:
            raise StackError(
                f"{jar.artifact} {jar.version} from Maven has another SHA-256 than {LIST.name} says"
            )
        target = jar.path_in(repository)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _resolve() -> Iterator[Jar]:
    """The broker's jars as its POMs ask for them."""
    from jgo.env import EnvironmentBuilder, LinkStrategy  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder, "repository"), timeout=DOWNLOAD_TIMEOUT_S)
        builder = EnvironmentBuilder(
            context=context, cache_dir=Path(folder, "environments"), link_strategy=LinkStrategy.COPY
        )
        builder.from_endpoint(ENDPOINT)
        for path in sorted(Path(folder, "repository").rglob("*.jar")):
            *group, artifact, version, _ = path.relative_to(Path(folder, "repository")).parts
            yield Jar(".".join(group), artifact, version, hashlib.sha256(path.read_bytes()).hexdigest())


def relock() -> None:
    """Rewrites the list."""
    lines = [f"{jar.sha256}  {jar.group}:{jar.artifact}:{jar.version}\n" for jar in _resolve()]
    header = "# Generated by `python -m genrestream.ops.kafka_jars --relock`: Apache Kafka's class path.\n"
    LIST.write_text(header + "".join(lines), encoding="ascii")


if __name__ == "__main__":
    if sys.argv[1:] == ["--relock"]:
        relock()
    else:
        try:
            fetch()
        except StackError as error:
            sys.exit(f"genrestream: {error}")
