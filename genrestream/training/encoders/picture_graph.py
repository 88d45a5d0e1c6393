"""From a network's graph over normalised pixels to one over uint8 pictures.

Legend: b batch, h height, w width.
"""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from genrestream.schemas import ImageFeatures
from genrestream.schemas.tensors import IMAGE, encoder_input

PIXELS = "pixels"
"""The network's own input, float32 [b, 3, h, w]: (x - mean) / std of x in 0..255."""
TURNED = "image_by_channel"


def over_pictures(
    graph: bytes, features: ImageFeatures, mean: Sequence[float], std: Sequence[float]
) -> bytes:
    """The graph with `image`, uint8 [b, h, w, 3], in the place of `pixels`."""
    model = onnx.load_from_string(graph)
    network = model.graph
    steps = [helper.make_node("Transpose", [IMAGE], [TURNED], perm=[0, 3, 1, 2])]
    quantiser = _only_quantiser(network)
    if quantiser is not None and _keeps_bytes(network, quantiser, mean, std):
        # The bytes are already what the quantiser would make of the normalised pixels.
        network.node.remove(quantiser)
        _rename_input(network, quantiser.output[0], TURNED)
    else:
        steps += _normalisation(network, mean, std)
    for position, step in enumerate(steps):
        network.node.insert(position, step)
    del network.input[:]
    shape: list[str | int | None] = ["b", *encoder_input(features).shape]
    network.input.append(helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, shape))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _normalisation(network: GraphProto, mean: Sequence[float], std: Sequence[float]) -> list[NodeProto]:
    """Nodes from `TURNED` to `PIXELS`: a batch norm, because that is one pass over the pixels."""
    constants = {
        "pixel_scale": np.ones(3, np.float32),
        "pixel_shift": np.zeros(3, np.float32),
        "pixel_mean": np.array(mean, np.float32),
        "pixel_variance": np.array(std, np.float32) ** 2,
    }
    network.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    return [
        helper.make_node("Cast", [TURNED], ["image_float"], to=TensorProto.FLOAT),
        helper.make_node("BatchNormalization", ["image_float", *constants], [PIXELS], epsilon=0.0),
    ]


def _only_quantiser(network: GraphProto) -> NodeProto | None:
    """The QuantizeLinear that is all that reads the pixels, if there is one."""
    readers = [node for node in network.node if PIXELS in node.input]
    return readers[0] if len(readers) == 1 and readers[0].op_type == "QuantizeLinear" else None


def _keeps_bytes(
    network: GraphProto, quantiser: NodeProto, mean: Sequence[float], std: Sequence[float]
) -> bool:
    """Whether quantising (x - mean) / std gives x back for every byte x, in every channel."""
    constants: dict[str, NDArray[np.generic]] = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in network.initializer
    }
    scale, zero = (float(constants[name].reshape(())) for name in quantiser.input[1:3])
    levels = np.arange(256)
    return all(
        np.array_equal(np.rint((levels - channel_mean) / channel_std / scale) + zero, levels)
        for channel_mean, channel_std in zip(mean, std, strict=True)
    )


def _rename_input(network: GraphProto, old: str, new: str) -> None:
    for node in network.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new
