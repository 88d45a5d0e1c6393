"""Figures by which a built graph is compared with its reference. Legend: b batch, d embedding size."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from genrestream.repository.graph import Graph
from genrestream.schemas.tensors import EMBEDDING

COST_RUNS = 15
COST_WARM_UP_RUNS = 3


def run_graph(
    graph: bytes, inputs: Mapping[str, NDArray[np.generic]], chunk: int = 16, output: str = EMBEDDING
) -> NDArray[np.float32]:
    """The embeddings, float32 [b, d], of a batch that goes through the graph `chunk` items at a time."""
    size = len(next(iter(inputs.values())))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(graph)
        loaded = Graph(path, threads=2)
        parts = [
            loaded.run({name: array[start : start + chunk] for name, array in inputs.items()}, output)
            for start in range(0, size, chunk)
        ]
    return np.concatenate(parts).astype(np.float32)


def cost_ms(graph: Path, inputs: Mapping[str, NDArray[np.generic]]) -> float:
    """Milliseconds for the inputs on one thread: the median of some runs."""
    loaded = Graph(graph, threads=1)
    times_s = []
    for _ in range(COST_WARM_UP_RUNS + COST_RUNS):
        start_s = perf_counter()
        loaded.run(inputs, EMBEDDING)
        times_s.append(perf_counter() - start_s)
    return 1000 * float(np.median(times_s[COST_WARM_UP_RUNS:]))


def largest_difference(found: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """The largest absolute difference of two arrays of one shape, over the reference's largest value."""
    if found.shape != reference.shape:
        raise ValueError(f"shape {found.shape} instead of {reference.shape}")
    return float(np.abs(found - reference).max() / max(np.abs(reference).max(), 1e-12))


def cosines(found: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cosine similarity of each row with its reference, float32 [b]."""
    products: NDArray[np.float32] = np.sum(unit(found) * unit(reference), axis=1)
    return products


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1, float32 [b, d]."""
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
    units: NDArray[np.float32] = (rows / lengths).astype(np.float32)
    return units


def found_again(queries: NDArray[np.float32], rows: NDArray[np.float32]) -> float:
    """The share of queries whose nearest row, by cosine, is the one of the same index.

    Both about their own mean: what moves all queries alike, such as less light, is no difference.
    """
    queries_about_mean, rows_about_mean = (unit(side - side.mean(axis=0)) for side in (queries, rows))
    nearest = np.argmax(queries_about_mean @ rows_about_mean.T, axis=1)
    return float(np.mean(nearest == np.arange(len(queries))))
