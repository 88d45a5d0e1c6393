"""An ONNX graph in this process, through ONNX Runtime: for `classify`, training and parity checks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from genrestream.repository.errors import GraphInputError, RepositoryError

_LOAD_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)
_RUN_ERRORS = (ort_errors.Fail, ort_errors.InvalidArgument, ort_errors.RuntimeException, ValueError)


class Graph:
    """A loaded graph on `threads` threads of its own.

    Raises:
        RepositoryError: there is no graph at `path` that ONNX Runtime can run.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # A waiting pool must not burn the cores that feature extraction needs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Batches differ in shape, so the pattern of one is of no use to the next. The arena stays on:
        # without it every run maps its memory anew, and batches of 8 recordings cost 2.5 times as much.
        options.enable_mem_pattern = False
        options.log_severity_level = 4  # What goes wrong is raised.
        if not path.is_file():
            raise RepositoryError(f"no graph at {path}")
        try:
            self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except _LOAD_ERRORS as error:
            raise RepositoryError(f"{path} is no graph that ONNX Runtime can run: {_line(error)}") from error
        self.path = path
        self.inputs: dict[str, tuple[str, tuple[int | str | None, ...]]] = {
            node.name: (node.type, tuple(node.shape)) for node in self._session.get_inputs()
        }
        """Name to ONNX Runtime's type and shape, batch first; a name or None where the size is free."""
        self.outputs: dict[str, tuple[str, tuple[int | str | None, ...]]] = {
            node.name: (node.type, tuple(node.shape)) for node in self._session.get_outputs()
        }

    def run(self, inputs: Mapping[str, NDArray[Any]], output: str) -> NDArray[Any]:
        """The named output for a batch; inputs that the graph does not have are left out.

        Raises:
            GraphInputError: an input or the output is missing, or a type or shape does not fit.
        """
        if output not in self.outputs:
            raise GraphInputError(f"{self.path} has no output {output}")
        if missing := self.inputs.keys() - inputs.keys():
            raise GraphInputError(f"{self.path} needs the inputs {', '.join(sorted(missing))}")
        try:
            (result,) = self._session.run([output], {name: inputs[name] for name in self.inputs})
        except _RUN_ERRORS as error:
            shapes = {name: f"{inputs[name].dtype} {list(inputs[name].shape)}" for name in self.inputs}
            raise GraphInputError(f"{self.path} refuses {shapes}: {_line(error)}") from error
        return np.asarray(result)


def _line(error: Exception) -> str:
    """The first line of a message that may have many, without its end being cut in a word."""
    return str(error).strip().partition("\n")[0][:300]
