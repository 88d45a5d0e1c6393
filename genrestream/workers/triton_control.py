"""Steering Triton: loading what the model repository says, and asking loaded heads for their golden batch."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from genrestream.connections.tls import triton_refusal
from genrestream.repository.golden import Golden
from genrestream.schemas.releases import Release
from genrestream.schemas.tensors import CONFIDENCES
from genrestream.workers.errors import InferenceRejected, InferenceUnavailable
from genrestream.workers.triton import TritonInference

CONNECT_DEADLINE_S = 10.0
LOAD_DEADLINE_S = 180.0
"""Loading an encoder onto a busy machine; a head takes well under a second."""
READY_DEADLINE_S = 60.0
READY_PAUSE_S = 0.1


class ModelServerError(Exception):
    """Triton cannot be reached or does not do as asked; one line for people."""


class TritonControl:
    """A connection to one Triton in explicit model control. Use it as an asynchronous context manager."""

    def __init__(self, address: str, security: Mapping[str, Any] | None = None) -> None:
        """`security` holds tritonclient's arguments of that kind."""
        self._address = address
        self._security = security or {}
        self._client = InferenceServerClient(address, **self._security)
        self._inference = TritonInference(address, security=security)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._inference.__aexit__(kind, error, trace)
        await self._client.close()

    async def require_ready(self) -> None:
        """Return if the server answers and takes requests.

        Raises:
            ModelServerError: it does not.
        """
        try:
            ready = await self._client.is_server_ready(client_timeout=CONNECT_DEADLINE_S)
        except InferenceServerException as error:
            refusal = await triton_refusal(self._address, self._security)
            raise ModelServerError(refusal or f"no Triton answers at {self._address}") from error
        if not ready:
            raise ModelServerError(f"the Triton at {self._address} is not ready")

    async def load(self, model: str, *versions: int) -> None:
        """Load the versions that the model's `config.pbtxt` names; return when `versions` take requests.

        Raises:
            ModelServerError: Triton refuses, or does not get ready in time.
        """
        try:
            await self._client.load_model(model, client_timeout=LOAD_DEADLINE_S)
        except InferenceServerException as error:
            reason = " ".join(str(error.message()).split())
            raise ModelServerError(
                f"the Triton at {self._address} cannot load {model}: {reason[:500]}"
            ) from error
        for version in versions:
            await self._wait_ready(model, version)

    async def _wait_ready(self, model: str, version: int) -> None:
        try:
            async with asyncio.timeout(READY_DEADLINE_S):
                # Triton can be asked for readiness, not told to notify of it.
                while not await self._inference.is_model_ready(model, version):  # noqa: ASYNC110
                    await asyncio.sleep(READY_PAUSE_S)
        except TimeoutError as error:
            raise ModelServerError(
                f"{model} version {version} is not ready after {READY_DEADLINE_S:g} s on {self._address}"
            ) from error

    async def confidences(self, release: Release, golden: Golden) -> NDArray[np.float32]:
        """What the served head gives for the golden batch's inputs, float32 [b, l].

        Raises:
            ModelServerError: the head does not answer, or refuses them.
        """
        try:
            return await self._inference.infer(release.model, release.version, golden.inputs, CONFIDENCES)
        except (InferenceUnavailable, InferenceRejected) as error:
            raise ModelServerError(f"the golden batch fails on {self._address}: {error}") from error
