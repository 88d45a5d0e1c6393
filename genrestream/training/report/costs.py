"""What a head and its encoders weigh, and how long they take: ONNX Runtime, one thread, this machine.

Absolute times are of the machine that trained; beside each other they say which part is dear.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from genrestream.repository import GRAPH
from genrestream.repository.graph import Graph
from genrestream.schemas.releases import Release
from genrestream.schemas.tensors import CONFIDENCES, EMBEDDING, encoder_input
from genrestream.training.encode_chunk import Encoder
from genrestream.training.head_rows import HeadRows
from genrestream.training.judge import graph_inputs
from genrestream.training.report.findings import ModelCost

HEAD_BATCHES = (1, 8, 32, 128)
ENCODER_BATCHES = (1, 8, 32)
"""Triton's batches for encoders; 128 pictures at once would take gigabytes of activations."""
RUNS = 5
MEASURE_S = 0.2
"""A batch size is measured again no longer than this."""
MAX_RUN_S = 1.0
"""A batch size is not measured if one run of it would take longer."""
TYPICAL_TOKENS = 96

_DTYPES: Mapping[str, type[np.generic]] = {"UINT8": np.uint8, "INT64": np.int64, "FP32": np.float32}

Inputs = Callable[[int], dict[str, NDArray[Any]]]
"""The tensors of a batch of so many items."""


def measure_costs(
    head: Path,
    release: Release,
    rows: HeadRows,
    which: NDArray[np.int64],
    encoders: Sequence[Encoder],
) -> list[ModelCost]:
    """The head's graph on the rows `which` int64 [n], at least one; each encoder on tensors of its shape.

    Raises:
        RepositoryError: a graph cannot be run.
    """

    def of_head(items: int) -> dict[str, NDArray[Any]]:
        batch = np.resize(which, items)
        return graph_inputs(release, rows, batch, rows.presence[batch])

    found = [graph_cost(release.model, head, of_head, CONFIDENCES, HEAD_BATCHES)]
    return found + [encoder_cost(encoder) for encoder in encoders]


def encoder_cost(encoder: Encoder, batches: Sequence[int] = ENCODER_BATCHES) -> ModelCost:
    """An encoder's graph on tensors of its shape, a text of 96 tokens.

    Raises:
        RepositoryError: the graph cannot be run.
    """
    name = f"{encoder.record.model} {encoder.record.version}"
    return graph_cost(name, encoder.directory / GRAPH, _encoder_inputs(encoder), EMBEDDING, batches)


def graph_cost(name: str, path: Path, inputs: Inputs, output: str, batches: Sequence[int]) -> ModelCost:
    """A graph's output from the inputs of each batch size, as far as they take under a second.

    Raises:
        RepositoryError: the graph cannot be run.
    """
    graph = Graph(path, threads=1)
    batch_ms: dict[int, float] = {}
    item_s = 0.0
    for items in batches:
        if items * item_s > MAX_RUN_S:
            break
        tensors = inputs(items)
        graph.run(tensors, output)  # The first run of a shape sets memory aside.
        seconds: list[float] = []
        while len(seconds) < RUNS and sum(seconds) < MEASURE_S:
            start = time.perf_counter()
            graph.run(tensors, output)
            seconds.append(time.perf_counter() - start)
        batch_ms[items] = 1e3 * median(seconds)
        item_s = median(seconds) / items
    return ModelCost(name, path.stat().st_size, parameters(path), batch_ms)


def parameters(path: Path) -> int:
    """The numbers in a graph's weights; int64 constants are shapes and axes, and not counted."""
    weights = onnx.load(str(path)).graph.initializer
    return sum(int(np.prod(weight.dims)) for weight in weights if weight.data_type != onnx.TensorProto.INT64)


def _encoder_inputs(encoder: Encoder) -> Inputs:
    tensor = encoder_input(encoder.record.features)
    tokens = min(TYPICAL_TOKENS, getattr(encoder.record.features, "max_tokens", TYPICAL_TOKENS))
    shape = tuple(tokens if size < 0 else size for size in tensor.shape)
    # No token is padding, and ids 1 and 2 are in every vocabulary.
    value = 2 if getattr(encoder.record.features, "pad_id", 0) == 1 else 1

    def of(items: int) -> dict[str, NDArray[Any]]:
        return {tensor.name: np.full((items, *shape), value, _DTYPES[tensor.dtype])}

    return of
