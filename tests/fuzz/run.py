"""`python -m tests.fuzz.run MINUTES`: search for so long, and stop at a finding.

With Hypothesis, other examples each round; where atheris is installed it gets half of the time.
"""

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.fuzz.effort import EXAMPLES_VARIABLE

EXAMPLES = 1_000
"""A test and round; a round takes one to two minutes."""

TARGETS = ("message", "picture", "recording", "texts")


def main(minutes: float) -> int:
    """The exit status: 0 when nothing was found until the time was up."""
    seconds = 60 * minutes
    if importlib.util.find_spec("atheris"):
        seconds /= 2
        each_s = max(1, round(seconds / len(TARGETS)))
        for target in TARGETS:
            command = [
                sys.executable,
                "-m",
                "tests.fuzz.coverage_guided",
                target,
                f"-max_total_time={each_s}",
            ]
            if status := subprocess.run(command, check=False).returncode:
                return status
    return _rounds(seconds)


def _rounds(seconds: float) -> int:
    here = str(Path(__file__).parent)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--timeout=0", "-p", "no:cacheprovider", here]
    environment = {**os.environ, EXAMPLES_VARIABLE: str(EXAMPLES)}
    end = time.monotonic() + seconds
    rounds = 0
    while (left_s := end - time.monotonic()) > 0:
        try:
            status = subprocess.run(command, env=environment, check=False, timeout=left_s).returncode
        except subprocess.TimeoutExpired:
            break
        if status:
            return status
        rounds += 1
    print(f"nothing found; {rounds} whole rounds of {EXAMPLES:,} examples a test")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1])))
