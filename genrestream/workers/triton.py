"""Inference on Triton over gRPC, from asyncio, with a deadline a request and a bounded number in flight."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from genrestream.workers.errors import InferenceRejected, InferenceUnavailable
from genrestream.workers.protocols import Array

TRITON_TYPES = {
    np.dtype(np.uint8): "UINT8",
    np.dtype(np.int32): "INT32",
    np.dtype(np.int64): "INT64",
    np.dtype(np.float32): "FP32",
}

REJECTING = {
    f"StatusCode.{code.name}" for code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE)
}
"""What Triton answers when the tensors are wrong and will stay wrong; everything else may pass."""


class TritonInference:
    """The `Inference` of a worker. Use it as an asynchronous context manager."""

    def __init__(
        self,
        address: str,
        *,
        deadline_s: float = 30.0,
        max_in_flight: int = 16,
        max_batch: int = 64,
        security: Mapping[str, Any] | None = None,
    ) -> None:
        """`security` holds tritonclient's arguments of that kind: TLS and its files."""
        self._client = InferenceServerClient(address, **(security or {}))
        self._deadline_s = deadline_s
        self._max_batch = max_batch
        self._room = asyncio.Semaphore(max_in_flight)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def infer(self, model: str, version: int, inputs: Mapping[str, Array], output: str) -> Array:
        """The output [b, ...] for inputs [b, ...]; a batch beyond the model's limit goes in parts.

        Raises:
            InferenceUnavailable: the server cannot be reached, is not ready, or took too long.
            InferenceRejected: it refuses these tensors for good.
        """
        size = len(next(iter(inputs.values())))
        parts = [
            {name: array[start : start + self._max_batch] for name, array in inputs.items()}
            for start in range(0, size, self._max_batch)
        ]
        outputs = await asyncio.gather(*(self._infer_part(model, version, part, output) for part in parts))
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    async def _infer_part(self, model: str, version: int, inputs: Mapping[str, Array], output: str) -> Array:
        async with self._room:
            try:
                result = await self._client.infer(
                    model,
                    [_to_triton(name, array) for name, array in inputs.items()],
                    model_version=str(version),
                    outputs=[InferRequestedOutput(output)],
                    client_timeout=self._deadline_s,
                )
            except InferenceServerException as error:
                message = f"{model} version {version}: {error.message()}"
                if error.status() in REJECTING:
                    raise InferenceRejected(message) from error
                raise InferenceUnavailable(message) from error
        array: Array | None = result.as_numpy(output)
        if array is None:
            raise InferenceRejected(f"{model} version {version} gave no {output}")
        return array

    async def is_ready(self) -> bool:
        """Whether the server answers and takes requests."""
        try:
            return bool(await self._client.is_server_ready(client_timeout=self._deadline_s))
        except InferenceServerException:
            return False

    async def is_model_ready(self, model: str, version: int) -> bool:
        """Whether this very version is loaded and takes requests."""
        try:
            return bool(
                await self._client.is_model_ready(model, str(version), client_timeout=self._deadline_s)
            )
        except InferenceServerException:
            return False


def _to_triton(name: str, array: Array) -> InferInput:
    tensor = InferInput(name, list(array.shape), TRITON_TYPES[array.dtype])
    tensor.set_data_from_numpy(np.ascontiguousarray(array))
    return tensor
