"""`make bench`: what the whole path reaches on this machine, beside what the machine could do at best.

Kafka, Triton, Redis, the worker and the publisher share the cores. Each rate stands beside the limit (see
limits.py), measured right before and right after it while the servers are idle, and the ratio: a shared
machine may be half as fast a few minutes later.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from redis import Redis
from rich.console import Console
from rich.table import Table

from benchmarks import throughput
from benchmarks.items import BenchmarkSet, find_sets
from benchmarks.latency import seconds_to_label
from benchmarks.limits import limits_per_s
from benchmarks.pretrained import pretrained_models
from genrestream.client.items import BadLine, read_items
from genrestream.ops.stack import local_stack
from genrestream.ops.state import StackState
from genrestream.ops.worker_process import WorkerProcess
from genrestream.sample import generate
from genrestream.schemas import Kind
from genrestream.schemas.redis_keys import labels_key
from genrestream.workers.announce import announce_live
from genrestream.workers.topics import create_topics

ITEMS = {
    "starter": {Kind.PODCAST: 24_000, Kind.EVENT: 16_000, Kind.TRACK: 16_000},
    "pretrained": {Kind.PODCAST: 4_000, Kind.EVENT: 4_000, Kind.TRACK: 1_200},
}
"""Enough for a part to take ten to twenty seconds: of three, the last micro-batch alone, which leaves a
core without work, and the look for it took a twentieth. Of pretrained tracks it takes up to a second."""

ROUNDS = 4
"""A rate is taken in so many parts, with the limit before, between and after: a machine shared with others
changes its speed within a minute, by more than what is to be seen."""

LATENCY_ITEMS = 100

console = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the table."""

    name: str
    encoders: str
    value: float
    unit: str
    limit: float | None = None
    ratio: float | None = None
    spared: float | None = None
    """The part of the time an item that is spared, beside the same items as new ones with new media."""


def main() -> int:
    """Run the benchmark."""
    arguments = _parser().parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="genrestream-bench-") as folder:
        data = arguments.data or _sample(Path(folder) / "sample")
        for encoders in arguments.encoders or ITEMS:
            models = arguments.models if encoders == "starter" else arguments.pretrained
            measured = _measure(
                encoders, models or pretrained_models(_say), find_sets(data), Path(folder) / encoders, data
            )
            figures += measured
            # Shown and written now: who stops the rest keeps what was measured.
            _show(measured)
            if arguments.json:
                arguments.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")
    return 0 if figures else 1


def _measure(
    encoders: str, models: Path, sets: dict[Kind, BenchmarkSet], folder: Path, data: Path
) -> list[Figure]:
    folder.mkdir()
    console.print(f"{encoders} encoders: starting the servers", style="bold")
    with local_stack(folder / "stack", models) as state:
        create_topics(state.kafka_bootstrap)
        asyncio.run(announce_live(models, state.kafka_bootstrap, state.triton_url))
        arguments = ("--models", str(models), "--media-root", str(data.absolute()))
        run = _Run(encoders, state, folder)
        # The items' media repeat; the limit encodes each of them, and so does the worker beside it.
        with _working(
            {**state.environment(), "GENRESTREAM_SHARED_EMBEDDINGS": "0"}, arguments, folder
        ) as worker:
            rates: dict[Kind, float] = {}
            limits: dict[Kind, float] = {}
            for kind, benchmark in sets.items():
                rates[kind], limits[kind] = run.beside_limit(benchmark, worker, models)
                console.print(f"{encoders} {kind}s: {rates[kind]:.0f}/s of {limits[kind]:.0f}/s")
            latency = run.latency(sets[Kind.PODCAST])
            spared = [run.again(kind, worker, rate) for kind, rate in rates.items()]
        with _working(state.environment(), arguments, folder) as worker:
            for kind in (Kind.EVENT, Kind.TRACK):
                rate = run.shared(sets[kind], worker)
                spared.append(run.spared(f"{kind}s_shared_per_s", rate, rates[kind]))
    figures = [latency]
    for kind, rate in rates.items():
        limit, ratio = round(limits[kind], 1), round(rate / limits[kind], 3)
        figures.append(Figure(f"{kind}s_per_s", encoders, round(rate, 1), "1/s", limit, ratio))
    return figures + spared


@contextmanager
def _working(
    environment: dict[str, str], arguments: tuple[str, ...], folder: Path
) -> Iterator[WorkerProcess]:
    """A worker that is ready."""
    worker = WorkerProcess("bench", folder / "worker.log", environment, arguments)
    worker.start()
    try:
        worker.wait_ready()
        yield worker
    finally:
        worker.stop()


@dataclass(frozen=True, slots=True)
class _Run:
    """One choice of encoders on servers of its own; `folder` keeps the files that are published."""

    encoders: str
    state: StackState
    folder: Path

    def beside_limit(
        self, benchmark: BenchmarkSet, worker: WorkerProcess, models: Path
    ) -> tuple[float, float]:
        """New items a second, and those that the machine could do meanwhile with the best batch size."""
        part = ITEMS[self.encoders][benchmark.kind] // ROUNDS
        self._warm_up(benchmark, worker, "new", part)
        rates: list[float] = []
        limits = [self._limits(benchmark, models, part // 2)]
        for number in range(ROUNDS):
            rates.append(self._rate(benchmark, f"new-{number}", part))
            limits.append(self._limits(benchmark, models, part // 2))
        # The best of the means, and not the mean of the best, which would count luck.
        best = max(statistics.harmonic_mean(rates_by_size) for rates_by_size in zip(*limits, strict=True))
        return statistics.harmonic_mean(rates), best

    def shared(self, benchmark: BenchmarkSet, worker: WorkerProcess) -> float:
        """New items a second, only of media that the worker has seen before."""
        count = ITEMS[self.encoders][benchmark.kind]
        self._warm_up(benchmark, worker, "shared", count // 4)
        return self._rate(benchmark, "shared", count, distinct=count // 4)

    def again(self, kind: Kind, worker: WorkerProcess, rate: float) -> Figure:
        """What was published as new, once more."""
        console.print(f"{self.encoders} {kind}s: the same items again")
        file, parts = self._file(kind, "again"), [self._file(kind, f"new-{part}") for part in range(ROUNDS)]
        file.write_bytes(b"".join(part.read_bytes() for part in parts))
        count = ITEMS[self.encoders][kind] // ROUNDS * ROUNDS
        again = throughput.again_per_s(file, count, worker, self.state.environment())
        return self.spared(f"{kind}s_again_per_s", again, rate)

    def spared(self, name: str, rate: float, full_rate: float) -> Figure:
        """A rate, with the part of an item's time that it does without."""
        return Figure(name, self.encoders, round(rate, 1), "1/s", spared=round(1 - full_rate / rate, 3))

    def latency(self, benchmark: BenchmarkSet) -> Figure:
        """Seconds from publishing to the label in Redis, one item at a time."""
        console.print(f"{self.encoders} {benchmark.kind}s: latency, unloaded")
        file = self._file(benchmark.kind, "latency")
        benchmark.write(file, LATENCY_ITEMS + 5, f"latency-{self.encoders}")
        items = [item for item in read_items(file) if not isinstance(item, BadLine)]
        latencies = asyncio.run(seconds_to_label(items, self.state.kafka_bootstrap, self.state.redis_url))[5:]
        return Figure(f"{benchmark.kind}_p50_s", self.encoders, round(statistics.median(latencies), 4), "s")

    def _file(self, kind: Kind, what: str) -> Path:
        return self.folder / f"{kind}-{what}.jsonl"

    def _warm_up(self, benchmark: BenchmarkSet, worker: WorkerProcess, what: str, count: int) -> None:
        file = self._file(benchmark.kind, f"warm-up-{what}")
        benchmark.write(file, count, f"warm-up-{what}-{self.encoders}")
        throughput.warm_up(file, worker, self.state.environment())

    def _limits(self, benchmark: BenchmarkSet, models: Path, count: int) -> tuple[float, ...]:
        """Items a second that the machine could do now, a batch size each."""
        console.print(f"{self.encoders} {benchmark.kind}s: the machine's limit")
        file = self._file(benchmark.kind, "limit")
        benchmark.write(file, count, "limit")
        return limits_per_s(file, benchmark.kind, models)

    def _rate(self, benchmark: BenchmarkSet, what: str, count: int, distinct: int | None = None) -> float:
        """Items a second, of which only the first `distinct` have media of their own."""
        kind = benchmark.kind
        console.print(f"{self.encoders} {kind}s: {count} items ({what}), end to end")
        file = self._file(kind, what)
        ids = benchmark.write(file, count, f"{what}-{self.encoders}", distinct)
        keys = [labels_key(kind, item_id) for item_id in ids]
        with Redis.from_url(self.state.redis_url) as redis:
            return throughput.items_per_s(file, keys, self.state.environment(), redis)


def _say(line: str) -> None:
    console.print(line, style="bold")


def _sample(folder: Path) -> Path:
    console.print("no --data: generating a sample catalogue")
    generate(folder, items_per_kind=600, seed=7)
    return folder


def _show(figures: list[Figure]) -> None:
    columns = ("figure", "encoders", "value", "unit", "limit", "ratio", "spared")
    table = Table(*columns, title="End to end on this machine")
    for figure in figures:
        limit = "" if figure.limit is None else f"{figure.limit:g}"
        parts = ["" if part is None else f"{part:.2f}" for part in (figure.ratio, figure.spared)]
        table.add_row(figure.name, figure.encoders, f"{figure.value:g}", figure.unit, limit, *parts)
    Console().print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.run", description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of real sets; default: a generated sample")
    parser.add_argument("--models", type=Path, default=Path("triton_models"), help="the starter models")
    parser.add_argument(
        "--pretrained", type=Path, help="models with the pretrained encoders; default: made here, and kept"
    )
    parser.add_argument("--encoders", action="append", choices=tuple(ITEMS), help="only these")
    parser.add_argument("--json", type=Path, help="write the table here as well")
    return parser


if __name__ == "__main__":
    sys.exit(main())
