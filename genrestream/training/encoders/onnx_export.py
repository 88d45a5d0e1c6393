"""PyTorch modules to ONNX, and ONNX to eight bits."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.calibrate import CalibrationMethod
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn

from genrestream.schemas.tensors import EMBEDDING
from genrestream.training.encoders.draft import Progress

OPSET = 17
"""Old enough for every ONNX Runtime that Triton ships since 23.01, with LayerNormalization."""


def export(module: nn.Module, example: Tensor, input_name: str, free: Sequence[str]) -> bytes:
    """The module as an ONNX graph from `input_name` to `embedding`; `free` names the first, free axes."""
    with _quiet(), TemporaryDirectory() as folder:
        target = Path(folder) / "model.onnx"
        torch.onnx.export(
            module.eval(),
            (example,),
            target,
            input_names=[input_name],
            output_names=[EMBEDDING],
            dynamic_axes={input_name: dict(enumerate(free)), EMBEDDING: {0: free[0]}},
            opset_version=OPSET,
            # The newer exporter needs another package, and its graphs quantise no better.
            dynamo=False,
        )
        model = onnx.load(target)
    with torch.inference_mode():
        embedding_dim = module(example).shape[1]
    # The exporter loses the size behind some reshapes; Triton compares it with the configuration.
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = embedding_dim
    return bytes(model.SerializeToString())


def side_by_side(first: bytes, second: bytes, input_name: str) -> bytes:
    """One graph whose embedding is those of both, one after the other, of the same input.

    Both of opset 17, without subgraphs.
    """
    graphs = [onnx.load_from_string(graph).graph for graph in (first, second)]
    for number, graph in enumerate(graphs):
        _rename(graph, f"part_{number}/", input_name)
    parts = [graph.output[0] for graph in graphs]
    joined = onnx.helper.make_node("Concat", [part.name for part in parts], [EMBEDDING], axis=1)
    sizes = [part.type.tensor_type.shape.dim[1].dim_value for part in parts]
    output = onnx.helper.make_tensor_value_info(EMBEDDING, onnx.TensorProto.FLOAT, ["b", sum(sizes)])
    whole = onnx.helper.make_graph(
        [*graphs[0].node, *graphs[1].node, joined],
        graphs[0].name,
        list(graphs[0].input),
        [output],
        [*graphs[0].initializer, *graphs[1].initializer],
    )
    model = onnx.helper.make_model(whole, opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=8)
    return bytes(model.SerializeToString())


def _rename(graph: onnx.GraphProto, prefix: str, kept: str) -> None:
    """Put the prefix before all names but `kept`; what has none, a node or an absent input, stays so."""

    def renamed(names: Sequence[str]) -> list[str]:
        return [name if name in ("", kept) else prefix + name for name in names]

    for node in graph.node:
        (node.name,) = renamed([node.name])
        node.input[:] = renamed(node.input)
        node.output[:] = renamed(node.output)
    for value in (*graph.initializer, *graph.output):
        value.name = prefix + value.name


def dynamic_int8(graph: bytes) -> bytes:
    """The graph with 8-bit weights a channel, activations quantised as they come: for transformers."""
    with _quiet(), TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(graph)
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True)
        return target.read_bytes()


CONVOLUTIONAL = ("Conv", "Add", "Clip", "Relu", "MaxPool")
"""What is quantised of a convolutional network. Not its last pooling: one scale for a whole embedding costs
more than all convolutions together (cosine to float .935 with it, .994 without)."""


def static_int8(
    graph: bytes, input_name: str, batch: NDArray[np.generic], progress: Progress | None = None
) -> bytes:
    """The graph in 8 bits, activations by their range over the batch's items: for convolutions.

    Weights a channel, QDQ form, MinMax.
    """
    with _quiet(), TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        source.write_bytes(graph)
        quant_pre_process(source, source, skip_symbolic_shape=True)
        quantize_static(
            source,
            target,
            _Reader(input_name, batch, progress),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(CONVOLUTIONAL),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return target.read_bytes()


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands the calibration one item after another."""

    def __init__(self, input_name: str, batch: NDArray[np.generic], progress: Progress | None) -> None:
        self._input_name = input_name
        self._batch = batch
        self._progress = progress
        self._next = 0

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        """The next item as a batch of one, or None after the last."""
        if self._next == len(self._batch):
            return None
        self._next += 1
        if self._progress:
            self._progress("calibrate eight bits", self._next, len(self._batch))
        return {self._input_name: self._batch[self._next - 1 : self._next]}


def check_graph(graph: bytes) -> None:
    """Validate the graph against the ONNX specification.

    Raises:
        onnx.checker.ValidationError: it is not a valid graph.
    """
    onnx.checker.check_model(onnx.load_from_string(graph))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' notes on their own future and the quantiser's advice on preprocessing."""
    root = logging.getLogger()
    before = root.level
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root.setLevel(logging.ERROR)
        try:
            yield
        finally:
            root.setLevel(before)
