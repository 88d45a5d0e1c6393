"""A trained head as an ONNX graph, and the proof that both say the same.

The graph is written node by node: it is small, and what is served is then plain to see.
Legend: b batch, t terms, d embedding size, l labels, k branches, s subsets of modalities, m modalities.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from genrestream.repository import GRAPH
from genrestream.repository.graph import Graph
from genrestream.schemas.items import Modality
from genrestream.schemas.tensors import (
    CONFIDENCES,
    PRESENCE,
    TERM_IDS,
    TERM_WEIGHTS,
    Tensor,
    embedding_input,
    head_inputs,
    head_output,
)
from genrestream.training.errors import TrainingError
from genrestream.training.heads import (
    MIN_NORM,
    MIN_OTHERS,
    TERMS,
    Branches,
    EmbeddingBranch,
    FusedHead,
    TermsBranch,
    modality_of,
)

OPSET = 17
IR_VERSION = 8
"""As old as opset 17: what older ONNX Runtimes inside Triton still read."""

MAX_DIFFERENCE = 1e-4
"""How far the graph's confidences may be from PyTorch's: float32 sums in another order."""

_ELEMENT_TYPES = {"FP32": TensorProto.FLOAT, "INT32": TensorProto.INT32}


def round_tables(branches: Branches) -> None:
    """Bring the table of terms to the float16 values that are served, so that what is measured is served."""
    for branch in branches.children_in_order():
        if isinstance(branch, TermsBranch):
            branch.weight.data = branch.weight.data.half().float()


def export_head(head: FusedHead, labels: int) -> bytes:
    """The head as an ONNX graph with the tensors of `schemas.tensors`."""
    graph = _GraphWriter()
    dims: dict[Modality, int] = {}
    branches = []
    for name, branch in zip(head.branches.names, head.branches.children_in_order(), strict=True):
        if isinstance(branch, TermsBranch):
            branches.append(_write_terms(graph, branch))
        elif isinstance(branch, EmbeddingBranch):
            dims[modality_of(name)] = branch.embedding_dim
            branches.append(_write_embedding(graph, name, branch))
    _write_gate(graph, head, branches)
    inputs = head_inputs(dims, hashed_text=TERMS in head.branches.names, picture_text=head.gate.reads)
    return graph.model([_value(tensor) for tensor in inputs], [_value(head_output(labels))])


def check_parity(
    graph: bytes, inputs: Mapping[str, NDArray[Any]], expected: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The graph's confidences [b, l] for `inputs`, if they are those that PyTorch gave.

    Raises:
        TrainingError: they differ by more than 1e-4.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / GRAPH
        path.write_bytes(graph)
        found: NDArray[np.float32] = Graph(path).run(inputs, CONFIDENCES)
    difference = float(np.abs(found - expected).max(initial=0.0))
    # NaN is no parity, so the comparison is written to be false for it.
    if not difference <= MAX_DIFFERENCE:
        raise TrainingError(f"the exported graph differs from the trained head by {difference:.2g}")
    return found


class _GraphWriter:
    """Gathers nodes and constants; every node is named after its output."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self._constants[name] = numpy_helper.from_array(value, name)
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def model(self, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> bytes:
        graph = helper.make_graph(
            self._nodes, "fused_head", inputs, outputs, initializer=list(self._constants.values())
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        model.producer_name = "genrestream"
        onnx.checker.check_model(model, full_check=True)
        data: bytes = model.SerializeToString()
        return data


def _write_terms(graph: _GraphWriter, branch: TermsBranch) -> str:
    """Logits [b, 1, l]. The table is float16: half the size, and only the rows of a text are widened."""
    idf = graph.constant("idf", branch.idf.numpy())
    table = graph.constant("term_table", branch.weight.detach().numpy().astype(np.float16))
    bias = graph.constant("terms_bias", branch.bias.detach().numpy())
    scaled = graph.node(
        "Mul", [TERM_WEIGHTS, graph.node("Gather", [idf, TERM_IDS], "term_idf")], "scaled_terms"
    )
    norm = graph.node("ReduceL2", [scaled], "terms_norm", axes=[1], keepdims=1)
    floor = graph.constant("min_norm", np.array(MIN_NORM, np.float32))
    safe_norm = graph.node("Max", [norm, floor], "terms_safe_norm")
    normed = graph.node("Div", [scaled, safe_norm], "normed_terms")
    second = graph.constant("second_axis", np.array([1], np.int64))
    row = graph.node("Unsqueeze", [normed, second], "terms_row")  # [b, 1, t]
    rows = graph.node("Gather", [table, TERM_IDS], "table_rows_f16")  # [b, t, l]
    wide = graph.node("Cast", [rows], "table_rows", to=TensorProto.FLOAT)
    return graph.node("Add", [graph.node("MatMul", [row, wide], "terms_sum"), bias], "terms_logits")


def _write_embedding(graph: _GraphWriter, branch_name: str, branch: EmbeddingBranch) -> str:
    """Logits [b, 1, l]; the standardisation is folded into the weights, which are 0 outside its view."""
    name = branch_name.replace(":", "_")
    heard = branch.weight.detach().double() * branch.inverse_deviation.double()
    bias = branch.bias.detach().double() - heard @ branch.mean.double()
    weight = heard.new_zeros(len(heard), branch.embedding_dim)
    weight[:, branch.view] = heard
    flat = graph.node(
        "Gemm",
        [
            embedding_input(modality_of(branch_name)),
            graph.constant(f"{name}_weight", weight.float().numpy()),
            graph.constant(f"{name}_bias", bias.float().numpy()),
        ],
        f"{name}_flat_logits",
        transB=1,
    )
    axis = graph.constant(f"{name}_axis", np.array([1], np.int64))
    return graph.node("Unsqueeze", [flat, axis], f"{name}_logits")


def _write_gate(graph: _GraphWriter, head: FusedHead, branches: list[str]) -> None:
    gate = head.gate
    logits = graph.node("Concat", branches, "branch_logits", axis=1)  # [b, k, l]
    bits = graph.constant("modality_bits", gate.heard.numpy())
    last = graph.constant("last_axis", np.array([1], np.int64))
    masked = graph.node("Mul", [PRESENCE, bits], "masked_presence")
    number = graph.node("ReduceSum", [masked, last], "subset_number", keepdims=0)
    subset = graph.node("Cast", [number], "subset", to=TensorProto.INT64)

    def of_item(name: str, table: NDArray[np.float32]) -> str:
        return graph.node("Gather", [graph.constant(name, table), subset], f"{name}_of_item")

    weighted = graph.node("Mul", [logits, of_item("weights", gate.weights.numpy())], "weighted_logits")
    summed = graph.node("ReduceSum", [weighted, last], "summed_logits", keepdims=0)
    fused = graph.node("Add", [summed, of_item("bias", gate.bias.numpy())], "fused_logits")
    competed = _write_competition(graph, fused, of_item("competition", gate.competition[:, None].numpy()))
    steep = graph.node("Mul", [competed, of_item("slope", gate.slope[:, None].numpy())], "steep_logits")
    graph.node(
        "Sigmoid",
        [graph.node("Add", [steep, of_item("shift", gate.shift.numpy())], "log_odds")],
        CONFIDENCES,
    )


def _write_competition(graph: _GraphWriter, fused: str, competition: str) -> str:
    """As `heads.compete` does it."""
    log_share = graph.node("LogSoftmax", [fused], "log_share", axis=1)
    one = graph.constant("one", np.array(1.0, np.float32))
    least = graph.constant("min_others", np.array(MIN_OTHERS, np.float32))
    left = graph.node("Sub", [one, graph.node("Exp", [log_share], "share")], "left_to_others")
    log_left = graph.node("Log", [graph.node("Max", [left, least], "safe_left")], "log_left")
    total = graph.node("Sub", [fused, log_share], "log_total")
    others = graph.node("Add", [total, log_left], "others")
    return graph.node(
        "Sub", [fused, graph.node("Mul", [competition, others], "competing")], "competed_logits"
    )


def _value(tensor: Tensor) -> onnx.ValueInfoProto:
    shape = ["b", *("t" if size < 0 else size for size in tensor.shape)]
    return helper.make_tensor_value_info(tensor.name, _ELEMENT_TYPES[tensor.dtype], shape)
