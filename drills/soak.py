"""`make soak`: an hour at 70 % of what the worker can do; memory, files and tasks have to stay level.

Podcasts, events with posters and tracks with music, from a generated catalogue, are published at a steady
rate. Every few seconds each process of the stack is looked at. After the warm-up a straight line is fitted
to each figure: what it would grow in an hour says whether something leaks.
"""

import argparse
import asyncio
import itertools
import json
import math
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import psutil
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from drills.places import local
from drills.scene import Scene
from genrestream.client.items import BadLine, read_items
from genrestream.client.publisher import Message, Publisher, item_message
from genrestream.ops import process
from genrestream.ops.worker_process import WorkerProcess
from genrestream.sample import generate
from genrestream.schemas import Kind

MODELS = Path("triton_models")
LOAD = 0.7
MEASURE_ITEMS = 2400
LOOK_EVERY_S = 5.0
WARM_UP = 0.25
"""Share of the time that is not judged: caches fill, allocators find their size, Java compiles."""
GROWTH_PER_HOUR = 0.05
"""What a process's memory may grow in an hour, as a share of what it has."""
LEVEL_MIB = 16.0
LEVEL_COUNT = 3.0
"""Growth an hour that is too small to be told from noise: of memory, and of files, threads and tasks."""
JUDGED_MINUTES = 20
"""In less, what fills up for the first time looks like growth."""
ITEMS = 10_000
MAX_UNACKNOWLEDGED = 500
STANDSTILL_S = 30.0
ENDED = "genrestream_items_total{"

console = Console(stderr=True)


@dataclass(slots=True)
class Series:
    """One figure of one process."""

    seconds: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, at_s: float, value: float) -> None:
        """The value at this time."""
        self.seconds.append(at_s)
        self.values.append(value)

    def per_hour(self) -> float:
        """The slope of a straight line through what came after the warm-up."""
        begin = self.seconds[-1] * WARM_UP
        kept = [(at_s, value) for at_s, value in zip(self.seconds, self.values, strict=True) if at_s >= begin]
        seconds, values = np.array(kept).T
        return float(np.polyfit(seconds, values, 1)[0]) * 3600


@dataclass(frozen=True, slots=True)
class Level:
    """The verdict on one figure."""

    process: str
    figure: str
    last: float
    growth_per_hour: float
    level: bool


def main() -> int:
    """Run the soak; the exit status is 1 when something grows or was lost."""
    arguments = _parser().parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="genrestream-soak-") as folder,
        local(Path(folder), MODELS) as scene,
    ):
        series, lost = asyncio.run(_soak(scene, arguments.minutes * 60))
    levels = [_judge(name, figure, each) for (name, figure), each in sorted(series.items())]
    _show(levels)
    if arguments.plot:
        _plot(series, arguments.plot)
    if arguments.json:
        result = {"minutes": arguments.minutes, "lost": lost, "levels": [asdict(level) for level in levels]}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.minutes < JUDGED_MINUTES:
        console.print(f"growth is judged from {JUDGED_MINUTES} minutes on")
        return int(lost > 0)
    return int(lost > 0 or not all(level.level for level in levels))


async def _soak(scene: Scene, duration_s: float) -> tuple[dict[tuple[str, str], Series], int]:
    catalogue = scene.folder / "sample"
    generate(catalogue, items_per_kind=200, seed=7)
    messages = _versions(catalogue)
    worker = await scene.start_worker("soak", GENRESTREAM_MEDIA_ROOT=str(catalogue))
    async with Publisher(scene.state.kafka_bootstrap) as publisher:
        began_s = time.monotonic()
        await _publish(publisher, itertools.islice(messages, MEASURE_ITEMS))
        await _ended(worker, MEASURE_ITEMS)
        rate = LOAD * MEASURE_ITEMS / (time.monotonic() - began_s)
        console.print(f"the worker takes {rate / LOAD:.0f} items/s; {rate:.0f}/s for {duration_s / 60:g} min")
        published = round(rate * duration_s)
        looking = asyncio.create_task(_look(scene, worker, duration_s))
        await _publish(publisher, itertools.islice(messages, published), rate)
        series = await looking
    lost = published + MEASURE_ITEMS - await _ended(worker, published + MEASURE_ITEMS)
    await scene.close()
    console.print(f"published {published}, lost {lost}")
    return series, lost


def _versions(catalogue: Path) -> Iterator[Message]:
    """Ever newer versions of `ITEMS` items: what Redis keeps of them is level after the first round."""
    items = [
        item
        for kind in Kind
        for item in read_items(catalogue / f"{kind}s" / "items.jsonl")
        if not isinstance(item, BadLine)
    ]
    for number in itertools.count():
        item = items[number % len(items)]
        version = {"id": f"soak-{number % ITEMS}-{item.kind}", "title": f"{item.title} {number}"}
        yield item_message(item.model_copy(update=version))


async def _publish(publisher: Publisher, messages: Iterable[Message], rate: float = math.inf) -> None:
    began_s = time.monotonic()
    deliveries: deque[Awaitable[object]] = deque()
    for number, message in enumerate(messages):
        deliveries.append(asyncio.ensure_future(await publisher.send(message)))
        while len(deliveries) > MAX_UNACKNOWLEDGED:
            await deliveries.popleft()
        ahead_s = number / rate - (time.monotonic() - began_s)
        if ahead_s > 0.01:
            await asyncio.sleep(ahead_s)
    await asyncio.gather(*deliveries)


async def _ended(worker: WorkerProcess, wanted: int) -> int:
    """How many items have ended, once it is as many as wanted, or none has for a while."""
    ended, since_s = -1, time.monotonic()
    while ended < wanted and time.monotonic() - since_s < STANDSTILL_S:
        text = await asyncio.to_thread(worker.metrics)
        found = round(sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(ENDED)))
        if found != ended:
            ended, since_s = found, time.monotonic()
        await asyncio.sleep(0.1)
    return ended


async def _look(scene: Scene, worker: WorkerProcess, duration_s: float) -> dict[tuple[str, str], Series]:
    """Look at every process of the stack, again and again."""
    series: dict[tuple[str, str], Series] = defaultdict(Series)
    columns = (TextColumn("soak"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("soak", total=duration_s)
        began_s = time.monotonic()
        while (at_s := time.monotonic() - began_s) < duration_s:
            for name, figure, value in await asyncio.to_thread(_figures, scene, worker):
                series[name, figure].add(at_s, value)
            progress.update(bar, completed=at_s)
            await asyncio.sleep(LOOK_EVERY_S)
    return series


def _figures(scene: Scene, worker: WorkerProcess) -> list[tuple[str, str, float]]:
    """Memory, open files and threads of each kind of process, and the worker's tasks."""
    names = {server.pid: server.name for server in scene.state.servers} | {worker.pid: "worker"}
    sums: dict[tuple[str, str], float] = defaultdict(float)
    for identity in process.marked(scene.state.marker):
        try:
            found = psutil.Process(identity.pid)
            name = names.get(found.pid) or f"{names.get(found.ppid(), 'feature')} helpers"
            sums[name, "memory MiB"] += found.memory_full_info().pss / 2**20
            sums[name, "open files"] += found.num_fds()
            sums[name, "threads"] += found.num_threads()
        except psutil.Error:
            continue  # It ended meanwhile: feature processes are replaced after so many tasks.
    tasks = next(line for line in worker.metrics().splitlines() if line.startswith("genrestream_tasks "))
    sums["worker", "tasks"] = float(tasks.split()[-1])
    return [(name, figure, value) for (name, figure), value in sums.items()]


def _judge(name: str, figure: str, series: Series) -> Level:
    growth = series.per_hour()
    allowed = max(GROWTH_PER_HOUR * series.values[-1], LEVEL_MIB if figure == "memory MiB" else LEVEL_COUNT)
    return Level(name, figure, round(series.values[-1], 1), round(growth, 1), growth <= allowed)


def _show(levels: list[Level]) -> None:
    table = Table("process", "figure", "at the end", "growth an hour", "", box=None, pad_edge=False)
    for each in levels:
        verdict = "[green]level[/]" if each.level else "[red]grows[/]"
        table.add_row(each.process, each.figure, f"{each.last:g}", f"{each.growth_per_hour:+g}", verdict)
    Console(width=100).print(table)


def _plot(series: dict[tuple[str, str], Series], file: Path) -> None:
    figures = sorted({figure for _, figure in series})
    picture = Figure(figsize=(10, 3 * len(figures)), layout="constrained")
    for axes, figure in zip(picture.subplots(len(figures), squeeze=False)[:, 0], figures, strict=True):
        for (name, each), values in sorted(series.items()):
            if each == figure:
                axes.plot(np.array(values.seconds) / 60, values.values, label=name)
        axes.set(ylabel=figure, xlabel="minutes", ylim=(0, None))
        axes.legend(fontsize="small", ncols=4)
    picture.savefig(file, dpi=120)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw them there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
