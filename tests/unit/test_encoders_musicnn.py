"""The ONNX graph of musicnn computes what the same network in PyTorch computes."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from genrestream.schemas import AudioFeatures
from genrestream.training.encoders.draft import EncoderError
from genrestream.training.encoders.musicnn import tag_contrast
from genrestream.training.encoders.musicnn_graph import musicnn_graph, scale_and_shift
from genrestream.training.encoders.musicnn_reference import CONVOLUTIONS, Musicnn, reference_with
from genrestream.training.encoders.parity import largest_difference, run_graph

pytestmark = pytest.mark.training


def random_weights():
    """A checkpoint of musicnn's shapes; a third of the batch norms' scales are negative."""
    rng = np.random.default_rng(3)
    weights = {}
    kernels = [(frames, bands, 1, channels) for channels, frames, bands in CONVOLUTIONS]
    kernels += [(7, 561, 1, 64), (7, 64, 1, 64), (7, 64, 1, 64)]
    for index, shape in enumerate(kernels):
        name = f"conv2d_{index}" if index else "conv2d"
        weights[f"{name}/kernel"] = rng.normal(0, (shape[0] * shape[1]) ** -0.5, shape)
        weights[f"{name}/bias"] = rng.normal(0, 0.1, shape[3])
    for index, width in enumerate([1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200]):
        name = f"batch_normalization_{index}" if index else "batch_normalization"
        weights[f"{name}/gamma"] = rng.uniform(-0.5, 1, width)
        weights[f"{name}/beta"] = rng.normal(0, 0.3, width)
        weights[f"{name}/moving_mean"] = rng.normal(0, 0.3, width)
        weights[f"{name}/moving_variance"] = rng.uniform(0.5, 2, width)
    for name, shape in (("dense", (1506, 200)), ("dense_1", (200, 50))):
        weights[f"{name}/kernel"] = rng.normal(0, shape[0] ** -0.5, shape)
        weights[f"{name}/bias"] = rng.normal(0, 0.1, shape[1])
    return {name: value.astype(np.float32) for name, value in weights.items()}


@pytest.mark.parametrize("patches", [1, 2])
def test_the_graph_equals_the_network_in_pytorch(patches):
    """Axes, paddings, the folded signs and the average over patches agree within float32's rounding."""
    weights = random_weights()
    graph = musicnn_graph(weights, AudioFeatures(patches=patches))
    batch = np.random.default_rng(0).uniform(0, 3, (2, patches, 187, 96)).astype(np.float32)
    with torch.inference_mode():
        embedding, _ = reference_with(weights)(torch.from_numpy(batch.reshape(-1, 187, 96)))
    expected = embedding.reshape(2, patches, 200).mean(dim=1).numpy()
    assert largest_difference(run_graph(graph, {"mel_patches": batch}), expected) < 1e-5


def test_a_batch_norm_becomes_scale_and_shift():
    """gamma 2, beta 1, mean 3, variance 0.999: x becomes 2 (x - 3) / sqrt(0.999 + 0.001) + 1 = 2 x - 5."""
    tensors = {"gamma": 2.0, "beta": 1.0, "moving_mean": 3.0, "moving_variance": 0.999}
    weights = {f"norm/{name}": np.array([value], np.float32) for name, value in tensors.items()}
    scale, shift = scale_and_shift(weights, "norm")
    assert scale == pytest.approx([2.0], abs=1e-6)
    assert shift == pytest.approx([-5.0], abs=1e-5)


def test_an_incomplete_checkpoint_is_refused():
    """The missing tensor is named."""
    weights = random_weights()
    del weights["conv2d_3/bias"]
    with pytest.raises(EncoderError, match="no tensor conv2d_3/bias"):
        musicnn_graph(weights)


def test_another_network_is_refused():
    """A first kernel of another size belongs to another network."""
    weights = random_weights() | {"conv2d/kernel": np.zeros((3, 3, 1, 204), np.float32)}
    with pytest.raises(EncoderError, match=r"kernel \(3, 3\), musicnn has \(7, 38\)"):
        musicnn_graph(weights)


def test_an_untrained_network_hears_no_difference_in_tags():
    """The sanity check fails where the weights mean nothing: its bound is 0.5."""
    torch.manual_seed(0)
    assert tag_contrast(Musicnn().eval()) < 0.1
