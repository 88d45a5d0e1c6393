"""Kafka's classes, parsed and linked once: with them on disk a broker starts in a third of the time.

`python -m genrestream.ops.kafka_classes` runs a broker on an empty folder and has Java write down what it
loaded (JEP 514, an ahead-of-time cache). Java checks that cache against the class path and runs without it
where it does not fit. Seen on two busy cores: ready after 3 s instead of 8 to 12.
"""

import dataclasses
import sys
import tempfile
import uuid
from pathlib import Path

from genrestream.ops import process
from genrestream.ops.errors import StackError
from genrestream.ops.java import fetched_java
from genrestream.ops.ports import Ports
from genrestream.tools import tools_dir

WRITE_TIMEOUT_S = 120.0
"""Java writes the cache when the broker ends; seen: 5 s."""


def _cache() -> Path:
    return tools_dir() / "kafka" / "classes.aot"


def jvm_options(java: Path) -> tuple[str, ...]:
    """What makes this Java use the cache; nothing where there is none, or for another Java."""
    if java != fetched_java() or not _cache().is_file():
        return ()
    # Adapters (compiled glue between calling conventions) saved by one run do not fit every other one.
    return (f"-XX:AOTCache={_cache()}", "-XX:+UnlockDiagnosticVMOptions", "-XX:-AOTAdapterCaching")


def record() -> None:
    """Writes the cache; raises `StackError` when the broker does not start or Java writes none."""
    from genrestream.ops import kafka  # noqa: PLC0415 - which asks this module for the options
    from genrestream.ops.stack import run_until_ready  # noqa: PLC0415

    cache = _cache()
    cache.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.parent) as folder:
        partial = Path(folder, "classes.aot")
        server = kafka.server(Path(folder), Ports(usual=False))
        java, *rest = server.argv
        recording = dataclasses.replace(server, argv=(java, f"-XX:AOTCacheOutput={partial}", *rest))
        run_until_ready(recording, uuid.uuid4().hex, grace_s=WRITE_TIMEOUT_S)
        if not partial.is_file():
            lines = "".join(f"\n  {line}" for line in process.last_lines(server.log))
            raise StackError(f"Java wrote no class cache:{lines}")
        partial.replace(cache)


if __name__ == "__main__":
    try:
        record()
    except StackError as error:
        # The stack runs without it, only slower to start.
        sys.stderr.write(f"genrestream: {error}\n")
