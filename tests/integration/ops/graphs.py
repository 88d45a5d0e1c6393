"""Tiny ONNX models for tests of the serving side: written here, not trained."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_scale(repository: Path, model: str, version: int, factor: float) -> None:
    """A version that gives `y = factor * x` for x float32 [b,4]."""
    weight = numpy_helper.from_array(np.eye(4, dtype=np.float32) * factor, "w")
    _write(
        repository,
        model,
        version,
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 4])],
        [weight],
    )


def write_lookup(repository: Path, model: str) -> None:
    """Version 1 gives row `ids` of [[0, 10], [1, 11], [2, 12]], and fails for other ids than 0 to 2."""
    table = numpy_helper.from_array(np.array([[0, 10], [1, 11], [2, 12]], np.float32), "table")
    _write(
        repository,
        model,
        1,
        [helper.make_node("Gather", ["table", "ids"], ["rows"], axis=0)],
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["b", "n"])],
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["b", "n", 2])],
        [table],
    )


def write_casts(repository: Path, model: str) -> None:
    """Version 1 takes each data type that the project sends and gives each as float32."""
    types = {"u": TensorProto.UINT8, "i": TensorProto.INT32, "l": TensorProto.INT64, "f": TensorProto.FLOAT}
    _write(
        repository,
        model,
        1,
        [helper.make_node("Cast", [name], [f"{name}_out"], to=TensorProto.FLOAT) for name in types],
        [helper.make_tensor_value_info(name, kind, ["b", 3]) for name, kind in types.items()],
        [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, ["b", 3]) for name in types],
        [],
    )


def write_config(
    repository: Path,
    model: str,
    inputs: Sequence[tuple[str, str, str]],
    outputs: Sequence[tuple[str, str, str]],
    versions: Sequence[int] = (1,),
) -> None:
    """`config.pbtxt` as the project generates it; tensors as (name, type, dims)."""
    lines = [f'name: "{model}"', 'backend: "onnxruntime"', "max_batch_size: 64"]
    for field, tensors in (("input", inputs), ("output", outputs)):
        lines += [f'{field} {{ name: "{n}" data_type: TYPE_{t} dims: [{d}] }}' for n, t, d in tensors]
    lines.append("dynamic_batching { max_queue_delay_microseconds: 2000 }")
    lines.append(f"version_policy {{ specific {{ versions: [{', '.join(map(str, versions))}] }} }}")
    text = "\n".join(lines) + "\n"
    (repository / model).mkdir(parents=True, exist_ok=True)
    partial = repository / model / ".config.pbtxt"
    partial.write_text(text)
    partial.replace(repository / model / "config.pbtxt")


def _write(
    repository: Path,
    model: str,
    version: int,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: list[onnx.TensorProto],
) -> None:
    graph = helper.make_graph(nodes, model, inputs, outputs, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 8
    folder = repository / model / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(made, folder / "model.onnx")
