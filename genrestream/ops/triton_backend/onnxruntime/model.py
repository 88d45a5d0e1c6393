"""A Triton backend that runs ONNX Runtime, for servers that lack NVIDIA's own.

Triton's Python backend loads this file in a process of its own for each instance of a model that says
`backend: "onnxruntime"`. All requests that the dynamic batcher hands over are run together: requests whose
inputs have the same shape become one batch, which is cut into runs of a few milliseconds that go side by
side, each on one thread. ONNX Runtime releases the interpreter's lock meanwhile. A request that fails is
answered with its error, and the others with their results.
"""

import itertools
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# Triton's stub embeds an interpreter that knows nothing of the virtual environment.
sys.path[1:1] = filter(None, os.environ.get("GENRESTREAM_SITE_PACKAGES", "").split(":"))

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
import triton_python_backend_utils as triton  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

RUN_S = 0.002
"""What one run aims at: long enough that the call itself costs nothing, and short, since a larger batch is
no cheaper an item on a CPU but leaves its caches (EfficientNet: 16 ms one by one, 23 to 29 by sixteens)."""

SMALL_ITEM_BYTES = 16_384
"""Items whose inputs are smaller, such as texts, go `SMALL_ITEMS` at least to a run."""

SMALL_ITEMS = 4
"""The weights of a network for short inputs are larger than all that one item leaves in the caches: several
items share their way there (MiniLM: 5.2 ms one by one, 4.7 by fours, no less by more)."""

SMOOTHING = 0.1
"""How much the newest run counts in the time an item takes."""

Arrays = list[NDArray[Any]]
"""One array an input, or one an output, in the order of the configuration."""


class TritonPythonModel:
    """One instance of one version of a model."""

    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        """The configuration as it is: the repository's are complete."""
        return config

    def initialize(self, arguments: dict[str, str]) -> None:
        """Loads `model.onnx` of this version; an error makes Triton report the load as failed."""
        config = json.loads(arguments["model_config"])
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]
        self._batched = config["max_batch_size"] > 0
        folder = Path(arguments["model_repository"], arguments["model_version"])
        options = onnxruntime.SessionOptions()
        # One thread a run: the parts of a batch, and other models, use the other cores.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        path = folder / (config.get("default_model_filename") or "model.onnx")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        unknown = set(self._inputs) ^ {tensor.name for tensor in self._session.get_inputs()}
        unknown |= set(self._outputs) - {tensor.name for tensor in self._session.get_outputs()}
        if unknown:
            raise triton.TritonModelException(f"config.pbtxt and the graph disagree on {sorted(unknown)}")
        self._threads = max(1, int(os.environ.get("GENRESTREAM_ONNXRUNTIME_THREADS", "1")))
        # To hand one thread each run costs two switches of threads an item.
        self._pool = ThreadPoolExecutor(self._threads) if self._threads > 1 else None
        self._item_s = RUN_S

    def execute(self, requests: list[Any]) -> list[Any]:
        """One response a request, in their order."""
        responses: list[Any] = [None] * len(requests)
        groups: dict[Any, list[tuple[int, Arrays]]] = {}
        for index, request in enumerate(requests):
            try:
                arrays = [_array(request, name) for name in self._inputs]
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, only this request fails
                responses[index] = _failure(error)
                continue
            key = tuple(array.shape[1:] for array in arrays) if self._batched else index
            groups.setdefault(key, []).append((index, arrays))
        for members in groups.values():
            for index, response in self._run_group(requests, members):
                responses[index] = response
        return responses

    def _run_group(self, requests: list[Any], members: list[tuple[int, Arrays]]) -> list[tuple[int, Any]]:
        """Index and response of each member; the members' inputs have the same shapes but for the batch."""
        try:
            outputs = self._run_all([arrays for _, arrays in members])
        except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors have no common base
            if len(members) == 1:
                return [(members[0][0], _failure(error))]
            # One of them spoils the batch: each on its own then.
            return [pair for member in members for pair in self._run_group(requests, [member])]
        return [
            (index, self._response(requests[index], arrays))
            for (index, _), arrays in zip(members, outputs, strict=True)
        ]

    def _run_all(self, inputs: list[Arrays]) -> list[Arrays]:
        """Outputs a request, for inputs a request."""
        if not self._batched:
            return [self._run(arrays) for arrays in inputs]
        counts = [len(arrays[0]) for arrays in inputs]
        joined = (
            inputs[0]
            if len(inputs) == 1
            else [np.concatenate(column) for column in zip(*inputs, strict=True)]
        )
        total = sum(counts)
        runs = self._count_runs(total, sum(array.nbytes for array in joined))
        if runs > 1:
            bounds = [total * run // runs for run in range(runs + 1)]
            pieces = [[array[start:end] for array in joined] for start, end in itertools.pairwise(bounds)]
            side_by_side = map if self._pool is None else self._pool.map
            done = list(side_by_side(self._run_timed, pieces))
            outputs = [np.concatenate(column) for column in zip(*done, strict=True)]
        else:
            outputs = self._run_timed(joined)
        ends = np.cumsum(counts)
        return [
            [array[end - count : end] for array in outputs] for count, end in zip(counts, ends, strict=True)
        ]

    def _count_runs(self, items: int, input_bytes: int) -> int:
        """Into how many runs a batch is best cut."""
        run_items = RUN_S / self._item_s
        if input_bytes < SMALL_ITEM_BYTES * items:
            run_items = max(run_items, SMALL_ITEMS)
        return 1 if items <= run_items else min(items, max(self._threads, round(items / run_items)))

    def _run_timed(self, arrays: Arrays) -> Arrays:
        begun_s = time.thread_time()
        outputs = self._run(arrays)
        item_s = (time.thread_time() - begun_s) / max(1, len(arrays[0]))
        # Threads may overwrite each other's value: it is an estimate either way.
        self._item_s += SMOOTHING * (item_s - self._item_s)
        return outputs

    def _run(self, arrays: Arrays) -> Arrays:
        outputs: Arrays = self._session.run(self._outputs, dict(zip(self._inputs, arrays, strict=True)))
        return outputs

    def _response(self, request: Any, arrays: Arrays) -> Any:
        wanted = set(request.requested_output_names())
        return triton.InferenceResponse(
            [
                _tensor(name, array)
                for name, array in zip(self._outputs, arrays, strict=True)
                if name in wanted
            ]
        )

    def finalize(self) -> None:
        """Ends the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def _array(request: Any, name: str) -> NDArray[Any]:
    # DLPack both ways: the stub is built against NumPy 1, its own conversion misreads NumPy 2's arrays.
    return np.from_dlpack(triton.get_input_tensor_by_name(request, name))


def _tensor(name: str, array: NDArray[Any]) -> Any:
    return triton.Tensor.from_dlpack(name, np.ascontiguousarray(array))


def _failure(error: Exception) -> Any:
    return triton.InferenceResponse(error=triton.TritonError(str(error)))
