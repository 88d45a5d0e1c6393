"""Triton's gRPC channel and its inference request on the wire (KServe's open inference protocol, version 2).

tritonclient's own `infer` copies each tensor into bytes, these into a message, and that into what is sent:
of recordings megabytes a batch, which took a quarter of a worker's main thread. Here a tensor is copied once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import MAX_GRPC_MESSAGE_SIZE, service_pb2

INFER = "/inference.GRPCInferenceService/ModelInfer"

TRITON_TYPES = {
    np.dtype(np.uint8): "UINT8",
    np.dtype(np.int32): "INT32",
    np.dtype(np.int64): "INT64",
    np.dtype(np.float32): "FP32",
}

_CONTENT_KEY = service_pb2.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER << 3 | 2
"""What stands before a tensor's bytes: the field's number, and wire type 2 for "so many bytes"."""


@dataclass(frozen=True, slots=True)
class InferRequest:
    """One version of a model, its inputs by name, [b, ...] each, and the output asked for."""

    model: str
    version: int
    inputs: Mapping[str, NDArray[Any]]
    output: str

    def serialized(self) -> bytes:
        """The protobuf message `inference.ModelInferRequest`.

        The parts of a message may stand one after the other (protobuf's encoding guide, "last one wins"), so
        that what is small is serialized by protobuf and the tensors are appended as they are.
        """
        message = service_pb2.ModelInferRequest(model_name=self.model, model_version=str(self.version))
        for name, array in self.inputs.items():
            message.inputs.add(name=name, datatype=TRITON_TYPES[array.dtype], shape=array.shape)
        message.outputs.add(name=self.output)
        return b"".join([message.SerializeToString(), *self._contents()])

    def _contents(self) -> Iterator[bytes | memoryview]:
        for array in self.inputs.values():
            yield _varint(_CONTENT_KEY) + _varint(array.nbytes)
            yield np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def open_channel(address: str, security: Mapping[str, Any]) -> grpc.aio.Channel:
    """A channel to Triton at `host:port`; `security` holds tritonclient's arguments of that kind.

    Raises:
        OSError: one of its files cannot be read.
    """
    options = [
        ("grpc.max_send_message_length", MAX_GRPC_MESSAGE_SIZE),
        ("grpc.max_receive_message_length", MAX_GRPC_MESSAGE_SIZE),
    ]
    if not security:
        return grpc.aio.insecure_channel(address, options=options)
    files = (security["root_certificates"], security["private_key"], security["certificate_chain"])
    contents = (None if file is None else Path(file).read_bytes() for file in files)
    return grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(*contents), options=options)


def _varint(number: int) -> bytes:
    """Seven bits a byte, lowest first; the eighth says that more follow."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
