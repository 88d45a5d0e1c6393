"""What a feature process may do, seen from inside and from outside."""

import asyncio
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from genrestream.workers.feature_pool import FeaturePool, PoolLimits
from genrestream.workers.process_bounds import address_space

WRITE = """
import sys
from genrestream.workers.process_bounds import give_up_rights
if sys.argv[2] == "bound":
    give_up_rights()
with open(sys.argv[1], "wb") as file:
    file.write(b"x")
"""


@pytest.mark.parametrize(("how", "written"), [("bound", b""), ("free", b"x")])
def test_no_file_is_written(tmp_path: Path, how: str, written: bytes) -> None:
    """One byte is one too many: the write fails, and the file stays empty."""
    path = tmp_path / "file"
    result = subprocess.run(
        [sys.executable, "-c", WRITE, str(path), how], capture_output=True, text=True, check=False
    )
    assert path.read_bytes() == written
    assert ("File too large" in result.stderr) == (how == "bound")


def test_address_space_is_bounded_inside_and_free_outside() -> None:
    """256 MiB are there before and after, and not where all but 64 MiB are taken."""
    here = psutil.Process().memory_info().vms
    wanted = 256 * 2**20
    before = resource.getrlimit(resource.RLIMIT_AS)
    np.zeros(wanted, np.uint8)
    with address_space(here + 64 * 2**20), pytest.raises(MemoryError):
        np.zeros(wanted, np.uint8)
    np.zeros(wanted, np.uint8)
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_a_lower_limit_stays() -> None:
    """Where somebody allowed less, no more is taken."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with address_space(8 * 2**40), address_space(16 * 2**40):
        assert resource.getrlimit(resource.RLIMIT_AS) == (8 * 2**40, before[1])
    assert resource.getrlimit(resource.RLIMIT_AS) == before


async def test_every_feature_process_is_bound() -> None:
    """No files, no core dumps, no new privileges, and the first to go when memory runs out."""
    async with FeaturePool(PoolLimits(processes=2)):
        async with asyncio.timeout(60):
            # The pool is ready when its first process is; the second may still be starting.
            while len(bound := bound_children()) < 2:
                await asyncio.sleep(0.05)
        for process in bound:
            assert process.rlimit(psutil.RLIMIT_CORE) == (0, 0)
            assert told_to_go_first(process)


def bound_children() -> list[psutil.Process]:
    """The processes below this one that were told to write no file and gain no privilege."""
    children = psutil.Process().children(recursive=True)
    return [child for child in children if no_new_privileges(child) and writes_nothing(child)]


def no_new_privileges(process: psutil.Process) -> bool:
    return "NoNewPrivs:\t1\n" in Path(f"/proc/{process.pid}/status").read_text()


def writes_nothing(process: psutil.Process) -> bool:
    return process.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)


def told_to_go_first(process: psutil.Process) -> bool:
    return Path(f"/proc/{process.pid}/oom_score_adj").read_text() == "1000\n"
