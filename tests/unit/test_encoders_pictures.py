"""From a network over normalised pixels to a graph over uint8 pictures."""

import numpy as np
import pytest

pytest.importorskip("torch")

import onnx
import torch
from timm.layers import Conv2dSame
from torch import nn

from genrestream.schemas import ImageFeatures
from genrestream.training.encoders.onnx_export import export, static_int8
from genrestream.training.encoders.parity import cosines, run_graph
from genrestream.training.encoders.picture_graph import over_pictures
from genrestream.training.encoders.pictures import PictureEncoder, embed
from genrestream.training.encoders.same_padding import with_constant_padding

pytestmark = pytest.mark.training

FEATURES = ImageFeatures(height_px=24, width_px=16)


class Pooled(nn.Module):
    """A convolution and the mean over all places."""

    def __init__(self, convolution):
        super().__init__()
        self.convolution = convolution

    def forward(self, pixels):
        return torch.relu(self.convolution(pixels)).mean(dim=(2, 3))


def network(seed=0):
    torch.manual_seed(seed)
    return Pooled(nn.Conv2d(3, 8, 3, padding=1)).eval()


def pictures(count=6):
    return np.random.default_rng(0).integers(0, 256, (count, 24, 16, 3), dtype=np.uint8)


def operators(graph):
    return [node.op_type for node in onnx.load_from_string(graph).graph.node]


def test_normalisation_moves_into_the_graph():
    """(x - mean) / std a channel, computed here by NumPy, gives the same embeddings."""
    mean, std = (120.0, 110.0, 100.0), (60.0, 50.0, 40.0)
    graph = over_pictures(export(network(), torch.zeros(2, 3, 24, 16), "pixels", ("b",)), FEATURES, mean, std)
    pixels = ((pictures() - np.array(mean)) / np.array(std)).transpose(0, 3, 1, 2).astype(np.float32)
    with torch.inference_mode():
        expected = network()(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(run_graph(graph, {"image": pictures()}), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("mean", "std", "kept"), [([127.0] * 3, [128.0] * 3, True), ([124.0, 116.0, 104.0], [58.0] * 3, False)]
)
def test_bytes_go_straight_into_eight_bit_convolutions_where_that_is_exact(mean, std, kept):
    """With one mean and scale for all channels the picture's bytes are the quantised pixels already."""
    encoder = PictureEncoder(network(), mean, std).eval()
    extremes = np.zeros((1, 24, 16, 3), np.uint8)
    extremes[:, ::2] = 255
    batch = encoder.normalised(torch.from_numpy(np.concatenate([extremes, pictures()]))).numpy()
    over_pixels = export(encoder.network, torch.from_numpy(batch[:2]), "pixels", ("b",))
    graph = over_pictures(static_int8(over_pixels, "pixels", batch), FEATURES, mean, std)

    first = operators(graph)[:2]
    assert first == (["Transpose", "DequantizeLinear"] if kept else ["Transpose", "Cast"])
    similar = cosines(run_graph(graph, {"image": pictures()}), embed(encoder, pictures()))
    assert similar.min() > 0.999


@pytest.mark.parametrize(("size", "kernel", "stride"), [((24, 16), 3, 2), ((25, 17), 5, 2), ((7, 9), 3, 1)])
def test_constant_padding_equals_tensorflows(size, kernel, stride):
    """The same values as timm's own layer, and a graph without shape arithmetic."""
    torch.manual_seed(1)
    same = Pooled(Conv2dSame(3, 4, kernel, stride=stride)).eval()
    pixels = torch.randn(2, 3, *size)
    with torch.inference_mode():
        expected = same(pixels)
    constant = with_constant_padding(same, pixels[:1])
    with torch.inference_mode():
        assert torch.equal(constant(pixels), expected)
    assert "Shape" not in operators(export(constant, pixels, "pixels", ("b",)))
