"""Inference on Triton over gRPC, from asyncio, with a deadline a request and a bounded number in flight."""

import asyncio
from collections.abc import Awaitable, Mapping
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np
from tritonclient.grpc import InferResult, service_pb2
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from genrestream.workers.errors import InferenceRejected, InferenceUnavailable
from genrestream.workers.protocols import Array
from genrestream.workers.triton_wire import INFER, InferRequest, open_channel

REJECTING = {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE}
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
        self._channel = open_channel(address, security or {})
        self._service = GRPCInferenceServiceStub(self._channel)
        self._send = self._channel.unary_unary(
            INFER, InferRequest.serialized, service_pb2.ModelInferResponse.FromString
        )
        self._deadline_s = deadline_s
        self._max_batch = max_batch
        self._room = asyncio.Semaphore(max_in_flight)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

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
        request = InferRequest(model, version, inputs, output)
        async with self._room:
            try:
                response = await self._send(request, timeout=self._deadline_s)
            except grpc.RpcError as error:
                message = f"{model} version {version}: {error.details()}"
                if error.code() in REJECTING:
                    raise InferenceRejected(message) from error
                raise InferenceUnavailable(message) from error
        array: Array | None = InferResult(response).as_numpy(output)
        if array is None:
            raise InferenceRejected(f"{model} version {version} gave no {output}")
        return array

    async def is_ready(self) -> bool:
        """Whether the server answers and takes requests."""
        request = service_pb2.ServerReadyRequest()
        return await self._is_so(self._service.ServerReady(request, timeout=self._deadline_s))

    async def is_model_ready(self, model: str, version: int) -> bool:
        """Whether this very version is loaded and takes requests."""
        request = service_pb2.ModelReadyRequest(name=model, version=str(version))
        return await self._is_so(self._service.ModelReady(request, timeout=self._deadline_s))

    async def _is_so(self, answer: Awaitable[Any]) -> bool:
        try:
            return bool((await answer).ready)
        except grpc.RpcError:
            return False
