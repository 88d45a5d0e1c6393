"""What the stack knows of one server that it starts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Server:
    """One server: how to start it and when it is ready."""

    name: str
    title: str
    """With its version, for people."""
    argv: tuple[str, ...]
    cwd: Path
    log: Path
    addresses: Mapping[str, str]
    """What listens where, by name (`bootstrap`, `grpc`, `http`, `metrics`)."""
    ready: Callable[[], bool]
    """Whether it answers requests; quick, and False rather than an error while it starts."""
    env: Mapping[str, str] = field(default_factory=dict)
    start_timeout_s: float = 60.0
