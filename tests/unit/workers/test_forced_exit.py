"""A worker ends in its time, whatever hangs."""

import signal
import subprocess
import sys

import pytest

SIGNAL = """
import asyncio, os, signal, time
from genrestream.workers.app import _ForcedExit, _Stop

async def main():
    forced_exit = _ForcedExit()
    stop = _Stop(asked=lambda: forced_exit.arm(0.5))
    print("starts", flush=True)
    {hang}

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "hang",
    [
        pytest.param("await asyncio.sleep(3600)", id="the start"),
        pytest.param(
            "asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600); await stop.wanted.wait()",
            id="a thread",
        ),
    ],
)
def test_who_is_asked_to_stop_ends_though_something_hangs(hang: str) -> None:
    """Claim: the time counts from the signal, also during the start, and for what Python waits for at its
    end: without it, both would last an hour.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", SIGNAL.format(hang=hang)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "starts\n"
    process.send_signal(signal.SIGTERM)
    try:
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 1
    assert "something does not close; ending all the same" in told


def test_the_earliest_time_counts() -> None:
    """Claim: a later drain does not put off the end that a signal has set."""
    script = """
from genrestream.workers.app import _ForcedExit
import time
forced_exit = _ForcedExit()
forced_exit.arm(0.2)
forced_exit.arm(3600)
time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=50, check=False)
    assert done.returncode == 1
