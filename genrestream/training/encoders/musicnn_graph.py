"""musicnn (Pons & Serra 2019, arXiv:1909.06654), trained on the Million Song Dataset's tags: ISC licence.

The encoder's graph is written with NumPy and onnx from the wheel's checkpoint; the embedding is the
penultimate layer, float32 [b, 200], averaged over an item's patches.

Legend: b batch, p patches, n = b * p, f frames (187), m mel bands (96), c channels, d embedding size (200).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from genrestream.schemas import AudioFeatures
from genrestream.schemas.tensors import EMBEDDING, MEL_PATCHES
from genrestream.training.encoders.draft import EncoderError
from genrestream.training.encoders.onnx_export import OPSET

BATCH_NORM_EPSILON = 1e-3
"""The default of tf.layers.batch_normalization."""
TIMBRAL_KERNELS = ((7, 38), (7, 67))
TEMPORAL_FRAMES = (128, 64, 32)
FEATURES = AudioFeatures()

Weights = dict[str, NDArray[np.float32]]


def musicnn_graph(weights: Weights, features: AudioFeatures = FEATURES) -> bytes:
    """The encoder's ONNX graph, `mel_patches` float32 [b, p, f, m] to `embedding` float32 [b, d].

    Raises:
        EncoderError: the checkpoint lacks a tensor, or one has an unexpected shape.
    """
    try:
        return bytes(_Writer(weights, features).model().SerializeToString())
    except KeyError as error:
        raise EncoderError(f"the checkpoint has no tensor {error.args[0]}: it is no musicnn") from error


class _Writer:
    """Writes the network's nodes in the order of its layers."""

    def __init__(self, weights: Weights, features: AudioFeatures) -> None:
        self._weights = weights
        self._features = features
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self._convolutions = 0
        self._norms = 0

    def model(self) -> ModelProto:
        """The whole graph."""
        p, f, m = self._features.patches, self._features.patch_frames, self._features.mel_bands
        patches = self._node("Reshape", MEL_PATCHES, self._constant("one_channel", [-1, 1, f, m]))
        front_end = self._front_end(self._normalised(patches, channel_axes=2))
        embedding = self._back_end(self._mid_end(front_end))
        dim = self._weights["dense/bias"].shape[0]
        by_item = self._node("Reshape", embedding, self._constant("by_item", [-1, p, dim]))
        self._nodes.append(helper.make_node("ReduceMean", [by_item], [EMBEDDING], axes=[1], keepdims=0))
        graph = helper.make_graph(
            self._nodes,
            "musicnn",
            [helper.make_tensor_value_info(MEL_PATCHES, TensorProto.FLOAT, ["b", p, f, m])],
            [helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["b", dim])],
            self._constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)

    def _front_end(self, patches: str) -> str:
        """[n, 1, f, m] to [n, c, f]: shapes over frequency ("timbral") and over time."""
        branches = []
        for frames, bands in TIMBRAL_KERNELS:
            before = (frames - 1) // 2
            branches.append(self._strongest(patches, (frames, bands), (before, frames // 2)))
        for frames in TEMPORAL_FRAMES:
            # TensorFlow's "same" padding puts the odd frame at the end.
            before = (frames - 1) // 2
            branches.append(self._strongest(patches, (frames, 1), (before, frames - 1 - before)))
        return self._node("Concat", *branches, axis=1)

    def _mid_end(self, front_end: str) -> str:
        """[n, c, f] to [n, c', f]: three convolutions over time, residual, all outputs side by side."""
        first = self._convolution_over_time(front_end)
        second = self._node("Add", self._convolution_over_time(first), first)
        third = self._node("Add", self._convolution_over_time(second), second)
        return self._node("Concat", front_end, first, second, third, axis=1)

    def _back_end(self, features: str) -> str:
        """[n, c, f] to [n, d]: maximum and mean over time, channel by channel, then a dense layer."""
        pooled = [
            self._node("ReduceMax", features, axes=[2], keepdims=1),
            self._node("ReduceMean", features, axes=[2], keepdims=1),
        ]
        # Maximum and mean of one channel stand side by side, as TensorFlow flattens them.
        flat = self._node("Flatten", self._node("Concat", *pooled, axis=2), axis=1)
        normalised = self._normalised(flat, channel_axes=0)
        kernel = self._constant("dense_kernel", self._weights["dense/kernel"])
        bias = self._constant("dense_bias", self._weights["dense/bias"])
        dense = self._node("Relu", self._node("Gemm", normalised, kernel, bias))
        return self._normalised(dense, channel_axes=0)

    def _strongest(self, inputs: str, kernel: tuple[int, int], pad_frames: tuple[int, int]) -> str:
        """[n, 1, f, m] to [n, c, f]: convolution, ReLU, batch norm, maximum over frequency.

        The maximum is taken first, which saves three passes over the largest tensors. Where a batch norm's
        scale is negative its maximum comes from the smallest activation: those channels are negated before.
        """
        weight, bias = self._next_convolution()
        if weight.shape[:2] != kernel:
            raise EncoderError(f"the checkpoint has a kernel {weight.shape[:2]}, musicnn has {kernel}")
        name, (scale, shift) = self._next_norm()
        sign = np.where(scale < 0, np.float32(-1), np.float32(1))
        # TensorFlow's [height, width, in, out] to ONNX's [out, in, height, width].
        constants = (
            self._constant(f"{name}_kernel", (weight * sign).transpose(3, 2, 0, 1)),
            self._constant(f"{name}_bias", bias * sign),
        )
        convolved = self._node("Conv", inputs, *constants, pads=[pad_frames[0], 0, pad_frames[1], 0])
        strongest = self._node("ReduceMax", convolved, axes=[3], keepdims=0)
        signed = self._node("Mul", strongest, self._constant(f"{name}_sign", sign.reshape(-1, 1)))
        return self._scaled(self._node("Relu", signed), name, scale, shift, channel_axes=1)

    def _convolution_over_time(self, inputs: str) -> str:
        """[n, c, f] to [n, c', f]: a kernel as wide as all channels is a convolution over time."""
        weight, bias = self._next_convolution()
        name = f"convolution_{self._convolutions}"
        constants = (
            self._constant(f"{name}_kernel", weight[:, :, 0, :].transpose(2, 1, 0)),
            self._constant(f"{name}_bias", bias),
        )
        active = self._node("Relu", self._node("Conv", inputs, *constants, pads=[3, 3]))
        return self._normalised(active, channel_axes=1)

    def _next_convolution(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        name = "conv2d" if self._convolutions == 0 else f"conv2d_{self._convolutions}"
        self._convolutions += 1
        return self._weights[f"{name}/kernel"], self._weights[f"{name}/bias"]

    def _normalised(self, inputs: str, channel_axes: int) -> str:
        """Batch norm as one product and one sum a channel; `channel_axes` axes follow the channels."""
        name, (scale, shift) = self._next_norm()
        return self._scaled(inputs, name, scale, shift, channel_axes)

    def _next_norm(self) -> tuple[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
        name = f"batch_normalization_{self._norms}" if self._norms else "batch_normalization"
        self._norms += 1
        return name, scale_and_shift(self._weights, name)

    def _scaled(
        self,
        inputs: str,
        name: str,
        scale: NDArray[np.float32],
        shift: NDArray[np.float32],
        channel_axes: int,
    ) -> str:
        shape = (-1, *[1] * channel_axes)
        scaled = self._node("Mul", inputs, self._constant(f"{name}_scale", scale.reshape(shape)))
        return self._node("Add", scaled, self._constant(f"{name}_shift", shift.reshape(shape)))

    def _node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def _constant(self, name: str, value: NDArray[np.float32] | Sequence[int]) -> str:
        array = value if isinstance(value, np.ndarray) else np.array(value, np.int64)
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


def scale_and_shift(weights: Weights, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A batch norm at inference, x * scale + shift, from its four checkpoint tensors."""
    gamma, beta = weights[f"{name}/gamma"], weights[f"{name}/beta"]
    mean, variance = weights[f"{name}/moving_mean"], weights[f"{name}/moving_variance"]
    scale = gamma / np.sqrt(variance + np.float32(BATCH_NORM_EPSILON))
    return scale, beta - mean * scale
