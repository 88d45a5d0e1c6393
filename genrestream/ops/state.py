"""What is kept of a running stack: `stack.json` in its folder, for `down`, `status` and the clients."""

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from genrestream.ops.errors import StackError
from genrestream.ops.process import MARKER, Identity

STATE_FILE = "stack.json"
DEFAULT_DIRECTORY = ".genrestream"


def stack_directory() -> Path:
    """The stack's folder: `GENRESTREAM_DIR`, else `.genrestream` in the working folder."""
    return Path(os.environ.get("GENRESTREAM_DIR") or DEFAULT_DIRECTORY).absolute()


@dataclass(frozen=True, slots=True)
class External:
    """Servers that the user already has; they are used, never started or stopped."""

    kafka_bootstrap: str | None = None
    redis_url: str | None = field(default=None, repr=False)
    triton_url: str | None = None

    @classmethod
    def from_environment(cls) -> "External":
        """What `KAFKA_BOOTSTRAP`, `REDIS_URL` and `TRITON_URL` name."""
        return cls(
            kafka_bootstrap=os.environ.get("KAFKA_BOOTSTRAP") or None,
            redis_url=os.environ.get("REDIS_URL") or None,
            triton_url=os.environ.get("TRITON_URL") or None,
        )


@dataclass(frozen=True, slots=True)
class StartedServer:
    """A server that the stack started."""

    name: str
    title: str
    pid: int
    start_ticks: int
    addresses: dict[str, str]
    log: str

    @property
    def identity(self) -> Identity:
        """The process, safe against recycled pids."""
        return Identity(self.pid, self.start_ticks)


@dataclass(frozen=True, slots=True)
class StackState:
    """A running stack."""

    marker: str
    """What its processes carry in their environment."""
    directory: str
    models: str
    started_at: str
    kafka_bootstrap: str
    redis_url: str = field(repr=False)
    triton_url: str
    """host:port of gRPC."""
    triton_http_url: str | None
    prometheus_url: str | None
    servers: tuple[StartedServer, ...]

    def environment(self) -> dict[str, str]:
        """What a client or worker of this stack needs in its environment.

        A process started with it carries the stack's marker: it is stopped with the stack.
        """
        return {
            "KAFKA_BOOTSTRAP": self.kafka_bootstrap,
            "REDIS_URL": self.redis_url,
            "TRITON_URL": self.triton_url,
            "GENRESTREAM_DIR": self.directory,
            MARKER: self.marker,
        }

    def save(self) -> Path:
        """Writes the state file; readers see the old one or the new one.

        For its owner only: the address of an external Redis may hold a password.
        """
        folder = Path(self.directory)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=2)
            file.write("\n")
        path = folder / STATE_FILE
        Path(file.name).replace(path)
        return path


def load_state(directory: Path) -> StackState | None:
    """The state of the stack in a folder, or None where none was started.

    Raises `StackError` when the file cannot be read as one.
    """
    path = directory / STATE_FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        return StackState(**{**raw, "servers": tuple(StartedServer(**entry) for entry in raw["servers"])})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StackError(f"cannot read {path} ({error}): delete it once its servers are stopped") from error


def forget_state(directory: Path) -> None:
    """Removes the state file."""
    (directory / STATE_FILE).unlink(missing_ok=True)
