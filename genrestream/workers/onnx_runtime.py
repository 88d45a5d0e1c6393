"""Inference in process through ONNX Runtime: what `classify` uses instead of Triton."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from genrestream.repository.graph import Graph
from genrestream.workers.protocols import Array

CHUNK_ITEMS = 8
"""Items of a batch that go through a graph together; the chunks run side by side, a thread each."""


class OnnxRuntimeInference:
    """The `Inference` of `classify`: graphs are loaded when first asked for, and run in threads."""

    def __init__(self, graph_path: Callable[[str, int], Path], threads: int) -> None:
        self._graph_path = graph_path
        self._graphs: dict[tuple[str, int], Graph] = {}
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="onnxruntime")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown()

    async def infer(self, model: str, version: int, inputs: Mapping[str, Array], output: str) -> Array:
        """The output [b, ...] for inputs [b, ...].

        Raises:
            RepositoryError: the graph cannot be loaded.
        """
        graph = self._graph(model, version)
        size = len(next(iter(inputs.values())))
        chunks = [
            {name: array[start : start + CHUNK_ITEMS] for name, array in inputs.items()}
            for start in range(0, size, CHUNK_ITEMS)
        ]
        loop = asyncio.get_running_loop()
        outputs = await asyncio.gather(
            *(loop.run_in_executor(self._threads, graph.run, chunk, output) for chunk in chunks)
        )
        return np.concatenate(outputs)

    def _graph(self, model: str, version: int) -> Graph:
        graph = self._graphs.get((model, version))
        if graph is None:
            graph = Graph(self._graph_path(model, version), threads=1)
            self._graphs[model, version] = graph
        return graph
