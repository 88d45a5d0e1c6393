"""`make bench`: what the whole path reaches on this machine, beside what the machine could do at best.

Kafka, Triton, Redis, the worker and the publisher share the cores. Each rate stands beside the limit from the
same run (see limits.py) and the ratio; on a shared machine the ratio tells more than the rate.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from redis import Redis
from rich.console import Console
from rich.table import Table

from benchmarks import throughput
from benchmarks.items import BenchmarkSet, find_sets
from benchmarks.latency import seconds_to_label
from benchmarks.limits import limit_per_s
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
    "starter": {Kind.PODCAST: 16_000, Kind.EVENT: 4_000, Kind.TRACK: 4_000},
    "pretrained": {Kind.PODCAST: 2_500, Kind.EVENT: 1_500, Kind.TRACK: 400},
}
"""Enough for each rate to be taken over some twenty seconds and more."""

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


def main() -> int:
    """Run the benchmark."""
    arguments = _parser().parse_args()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="genrestream-bench-") as folder:
        data = arguments.data or _sample(Path(folder) / "sample")
        for encoders in arguments.encoders or ITEMS:
            models = arguments.models if encoders == "starter" else arguments.pretrained
            figures += _measure(
                encoders, models or pretrained_models(_say), find_sets(data), Path(folder) / encoders, data
            )
    _show(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(figure) for figure in figures], indent=1) + "\n")
    return 0 if figures else 1


def _measure(
    encoders: str, models: Path, sets: dict[Kind, BenchmarkSet], folder: Path, data: Path
) -> list[Figure]:
    figures: list[Figure] = []
    folder.mkdir()
    console.print(f"{encoders} encoders: starting the servers", style="bold")
    with local_stack(folder / "stack", models) as state:
        create_topics(state.kafka_bootstrap)
        asyncio.run(announce_live(models, state.kafka_bootstrap, state.triton_url))
        arguments = ("--models", str(models), "--media-root", str(data.absolute()))
        # The items' media repeat; the limit encodes each of them, and so does the worker beside it.
        environment = {**state.environment(), "GENRESTREAM_SHARED_EMBEDDINGS": "0"}
        worker = WorkerProcess("bench", folder / "worker.log", environment, arguments)
        worker.start()
        worker.wait_ready()
        rates = {kind: _rate(encoders, benchmark, worker, state, folder) for kind, benchmark in sets.items()}
        figures.append(_latency(encoders, sets[Kind.PODCAST], state, folder))
        worker.stop()
    for kind, rate in rates.items():
        console.print(f"{encoders} {kind}s: the machine's limit")
        limit = limit_per_s(_warm_up_file(folder, kind), kind, models)
        figures.append(
            Figure(f"{kind}s_per_s", encoders, round(rate, 1), "1/s", round(limit, 1), round(rate / limit, 3))
        )
    return figures


def _rate(
    encoders: str, benchmark: BenchmarkSet, worker: WorkerProcess, state: StackState, folder: Path
) -> float:
    count = ITEMS[encoders][benchmark.kind]
    console.print(f"{encoders} {benchmark.kind}s: {count} items, end to end")
    file, first_file = folder / f"{benchmark.kind}.jsonl", _warm_up_file(folder, benchmark.kind)
    benchmark.write(first_file, count // 4, f"warm-up-{encoders}")
    throughput.warm_up(first_file, worker, state.environment())
    ids = benchmark.write(file, count, f"bench-{encoders}")
    keys = [labels_key(benchmark.kind, item_id) for item_id in ids]
    with Redis.from_url(state.redis_url) as redis:
        return throughput.items_per_s(file, keys, state.environment(), redis)


def _warm_up_file(folder: Path, kind: Kind) -> Path:
    return folder / f"{kind}-warm-up.jsonl"


def _latency(encoders: str, benchmark: BenchmarkSet, state: StackState, folder: Path) -> Figure:
    console.print(f"{encoders} {benchmark.kind}s: latency, unloaded")
    file = folder / "latency.jsonl"
    benchmark.write(file, LATENCY_ITEMS + 5, f"latency-{encoders}")
    items = [item for item in read_items(file) if not isinstance(item, BadLine)]
    latencies = asyncio.run(seconds_to_label(items, state.kafka_bootstrap, state.redis_url))[5:]
    return Figure(f"{benchmark.kind}_p50_s", encoders, round(statistics.median(latencies), 4), "s")


def _say(line: str) -> None:
    console.print(line, style="bold")


def _sample(folder: Path) -> Path:
    console.print("no --data: generating a sample catalogue")
    generate(folder, items_per_kind=600, seed=7)
    return folder


def _show(figures: list[Figure]) -> None:
    table = Table("figure", "encoders", "value", "unit", "limit", "ratio", title="End to end on this machine")
    for figure in figures:
        limit = "" if figure.limit is None else f"{figure.limit:g}"
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        table.add_row(figure.name, figure.encoders, f"{figure.value:g}", figure.unit, limit, ratio)
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
