"""What goes to Triton is the very message that tritonclient would send."""

import numpy as np
import pytest
from numpy.typing import NDArray
from tritonclient.grpc import InferInput, service_pb2

from genrestream.workers.triton_wire import TRITON_TYPES, InferRequest


def tritonclients(request: InferRequest) -> service_pb2.ModelInferRequest:
    message = service_pb2.ModelInferRequest(model_name=request.model, model_version=str(request.version))
    for name, array in request.inputs.items():
        tensor = InferInput(name, list(array.shape), TRITON_TYPES[array.dtype])
        tensor.set_data_from_numpy(array)
        message.inputs.append(tensor._get_tensor())
        message.raw_input_contents.append(tensor._get_content())
    message.outputs.add(name=request.output)
    return message


@pytest.mark.parametrize(
    "inputs",
    [
        {"picture": np.arange(2 * 3 * 5 * 7, dtype=np.uint8).reshape(2, 3, 5, 7)},
        {"ids": np.full((3, 50), -1, np.int64), "weights": np.linspace(0, 1, 6, dtype=np.float32)[:, None]},
        {"patches": np.ones((64, 3, 187, 96), np.float32)},
        {"one_byte": np.zeros((1, 1), np.uint8), "length_127": np.ones((1, 127), np.uint8)},
        {"length_128": np.ones((1, 128), np.uint8), "length_16384": np.ones((1, 16_384), np.uint8)},
        {"none": np.zeros((0, 4), np.float32)},
        {"every_other": np.arange(24, dtype=np.int32).reshape(4, 6)[:, ::2]},
        {"turned": np.arange(6, dtype=np.float32).reshape(2, 3).T},
    ],
    ids="+".join,
)
def test_message_is_tritonclients(inputs: dict[str, NDArray[np.generic]]) -> None:
    request = InferRequest("audio-starter", 3, inputs, "embedding")
    assert service_pb2.ModelInferRequest.FromString(request.serialized()) == tritonclients(request)
