"""The machine's own limit: the same features and ONNX models in bare processes, one a core.

No Kafka, no Triton, no Redis: what the worker could reach if everything around the models cost
nothing. Texts are bucketed by length, and the best of several batch sizes counts: on a CPU a picture encoder
is fastest with few pictures at a time, a text encoder with many.
"""

import asyncio
import multiprocessing
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from genrestream.client.items import BadLine, MediaForm, read_items
from genrestream.repository import GRAPH, Repository
from genrestream.repository.graph import Graph
from genrestream.schemas import InlineMedia, Item, Kind, MediaReference
from genrestream.workers.features.content import Content
from genrestream.workers.features.extract import extract
from genrestream.workers.gather import gather
from genrestream.workers.live import LiveKind, LiveRelease, build_live
from genrestream.workers.observe import Timer
from genrestream.workers.process_memory import keep_freed_memory
from genrestream.workers.protocols import Array
from genrestream.workers.score import score

BATCH_ITEMS = 32
RUN_ITEMS = (1, 4, 32)
"""Items of a batch that go through a graph together: the sizes that are tried."""


class _Files:
    """Reads `file://` media with one system call, no checks: the least that a worker has to do."""

    async def fetch(self, media: MediaReference | InlineMedia) -> bytes:
        assert isinstance(media, MediaReference)
        return Path(media.url.removeprefix("file://")).read_bytes()  # noqa: ASYNC240 - bare on purpose


class _Graphs:
    """Runs graphs on the calling thread."""

    def __init__(self, repository: Repository, run_items: int) -> None:
        self._repository = repository
        self._run_items = run_items
        self._graphs: dict[tuple[str, int], Graph] = {}

    async def infer(self, model: str, version: int, inputs: Mapping[str, Array], output: str) -> Array:
        graph = self._graphs.get((model, version))
        if graph is None:
            graph = Graph(self._repository.version_dir(model, version) / GRAPH, threads=1)
            self._graphs[model, version] = graph
        size = len(next(iter(inputs.values())))
        cuts = (slice(start, start + self._run_items) for start in range(0, size, self._run_items))
        return np.concatenate(
            [graph.run({name: array[cut] for name, array in inputs.items()}, output) for cut in cuts]
        )


def limits_per_s(items_file: Path, kind: Kind, models: Path) -> tuple[float, ...]:
    """Items a second that all cores do together, each with its share of the file, for each of `RUN_ITEMS`."""
    return tuple(_rate(items_file, kind, models, run_items) for run_items in RUN_ITEMS)


def _rate(items_file: Path, kind: Kind, models: Path, run_items: int) -> float:
    cores = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(cores)
    with context.Pool(cores, _share_barrier, (barrier,)) as pool:
        shares = [(items_file, kind, models, run_items, core, cores) for core in range(cores)]
        results = pool.starmap(_run_share, shares, chunksize=1)
    started_s = min(start for start, _, _ in results)
    ended_s = max(end for _, end, _ in results)
    return sum(count for _, _, count in results) / (ended_s - started_s)


def _share_barrier(barrier: object) -> None:
    globals()["_barrier"] = barrier


def _run_share(
    items_file: Path, kind: Kind, models: Path, run_items: int, core: int, cores: int
) -> tuple[float, float, int]:
    """Start, end (one clock for all processes) and the number of items of one process."""
    keep_freed_memory()
    repository = Repository(models)
    releases = (choice.release for choice in repository.newest(kind))
    live = build_live(kind, (LiveRelease(release, 0) for release in releases), repository)
    items = [item for item in read_items(items_file, media=MediaForm.FILE) if not isinstance(item, BadLine)]
    mine = items[core::cores]
    graphs = _Graphs(repository, run_items)
    asyncio.run(_run(mine[:BATCH_ITEMS], live, graphs))
    globals()["_barrier"].wait()
    started_s = time.monotonic()
    asyncio.run(_run(mine, live, graphs))
    return started_s, time.monotonic(), len(mine)


async def _run(items: Sequence[Item], live: LiveKind, graphs: _Graphs) -> None:
    files, timer = _Files(), Timer()
    for start in range(0, len(items), BATCH_ITEMS):
        contents: list[Content] = [
            (await gather(item, live, files)).content for item in items[start : start + BATCH_ITEMS]
        ]
        extractions = [extract(content, live.plan) for content in contents]
        await score(extractions, live, graphs, timer)
