"""A graph in process gives what it computes, or one clear line."""

import numpy as np
import pytest

from genrestream.repository import GraphInputError, RepositoryError
from genrestream.repository.graph import Graph


def test_a_graph_runs_a_batch(graph_file):
    """The doubling graph doubles, for any batch size."""
    graph = Graph(graph_file, threads=1)
    batch = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
    assert graph.run({"mel_patches": batch}, "embedding").tolist() == [[2, 4], [6, 8], [10, 12]]
    assert graph.inputs == {"mel_patches": ("tensor(float)", ("b", 2))}


def test_inputs_that_the_graph_does_not_have_are_left_out(graph_file):
    """An exporter drops inputs that a head does not use; callers still send all."""
    batch = np.zeros((1, 2), np.float32)
    result = Graph(graph_file).run({"mel_patches": batch, "presence": batch}, "embedding")
    assert result.tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("inputs", "output", "fault"),
    [
        ({}, "embedding", "needs the inputs mel_patches"),
        ({"mel_patches": np.zeros((1, 2), np.float32)}, "confidences", "has no output confidences"),
        ({"mel_patches": np.zeros((1, 3), np.float32)}, "embedding", r"refuses .*float32 \[1, 3\]"),
        ({"mel_patches": np.zeros((1, 2), np.int64)}, "embedding", r"refuses .*int64 \[1, 2\]"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(graph_file, inputs, output, fault):
    """Names, types and shapes are told in one line."""
    with pytest.raises(GraphInputError, match=fault) as caught:
        Graph(graph_file).run(inputs, output)
    assert "\n" not in str(caught.value)


def test_what_is_no_graph_is_refused(tmp_path):
    """A missing, an empty and a garbled file are told apart from a graph."""
    with pytest.raises(RepositoryError, match="no graph at"):
        Graph(tmp_path / "absent.onnx")
    (tmp_path / "empty.onnx").write_bytes(b"")
    (tmp_path / "garbled.onnx").write_bytes(b"not a graph")
    for name in ("empty.onnx", "garbled.onnx"):
        with pytest.raises(RepositoryError, match="is no graph that ONNX Runtime can run"):
            Graph(tmp_path / name)
