"""A new version goes live under load, and a rollback brings the older one back; no item fails or is lost."""

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import Iterable
from pathlib import Path

from drills.release import train_again
from genrestream.client.publisher import item_message
from genrestream.ops.state import StackState
from genrestream.schemas import Kind, LabelRecord, Podcast
from tests.end_to_end.conftest import StartWorker
from tests.end_to_end.harness import Outside

ITEMS = 2400
PAUSE_S = 0.005
"""Some 150 items a second for as long as release and rollback take."""


def command(stack: StackState, *arguments: str) -> None:
    """Run `genrestream` against the stack, as a user would; its failure is the test's."""
    environment = {**os.environ, **stack.environment()}
    done = subprocess.run(
        [sys.executable, "-m", "genrestream", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


async def test_release_and_rollback_under_load(
    start_worker: StartWorker, outside: Outside, stack: StackState, models_dir: Path
) -> None:
    """Claim: while items stream in, `genrestream release` and `genrestream rollback` switch version 1 to 2
    and back to 1; every item is labelled exactly once, none is a dead letter, and the later announcement of
    version 1 carries a higher sequence.
    """
    start_worker("e2e-a")
    run = uuid.uuid4().hex[:8]
    items = [Podcast(id=f"{run}-{n}", title=f"Markets {n}", description="Stocks.") for n in range(ITEMS)]
    train_again(models_dir)
    publishing = asyncio.create_task(outside.publish([item_message(item) for item in items], PAUSE_S))
    await outside.until(lambda seen: len(seen.records) > 100)
    await asyncio.to_thread(
        command, stack, "release", "podcast-genres", "--force", "--models", str(models_dir)
    )
    await outside.until(lambda seen: 2 in versions(seen.records.values()))
    await asyncio.to_thread(command, stack, "rollback", "podcast-genres", "--models", str(models_dir))
    await publishing
    await outside.wait_for([item.id for item in items])
    assert outside.seen.letters == {}
    assert [item.id for item in items if len(outside.seen.records[item.id]) != 1] == []
    by_sequence = {
        record.revision.release_sequence: record.release.version
        for (record,) in outside.seen.records.values()
        if record.revision is not None
    }
    assert [by_sequence[sequence] for sequence in sorted(by_sequence)] == [1, 2, 1]
    await outside.until_cached(
        Kind.PODCAST,
        items[-1].id,
        lambda cached: bool(cached) and cached["genres"]["release"]["version"] == 1,
    )


def versions(records: Iterable[list[LabelRecord]]) -> set[int]:
    """The head versions that have labelled something."""
    return {record.release.version for several in records for record in several}
