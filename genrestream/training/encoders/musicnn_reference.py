"""musicnn in PyTorch's own layers, with its tags: what the ONNX graph is checked against.

Written after the paper and the layer names in the checkpoint, and apart from `musicnn.py`: it shares
neither the arrangement of axes nor the folding of batch norms with it.

Legend: n patches, f frames, m mel bands, d embedding size, l tags.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

# The 50 tags of the Million Song Dataset in the order of the output layer.
TAGS = (
    "rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s",
    "alternative rock", "jazz", "beautiful", "metal", "chillout", "male vocalists", "classic rock", "soul",
    "indie rock", "Mellow", "electronica", "80s", "folk", "90s", "chill", "instrumental", "punk", "oldies",
    "blues", "hard rock", "ambient", "acoustic", "experimental", "female vocalist", "guitar", "Hip-Hop",
    "70s", "party", "country", "easy listening", "sexy", "catchy", "funk", "electro", "heavy metal",
    "Progressive rock", "60s", "rnb", "indie pop", "sad", "House", "happy",
)  # fmt: skip

CONVOLUTIONS = ((204, 7, 38), (204, 7, 67), (51, 128, 1), (51, 64, 1), (51, 32, 1))
CHANNELS = sum(channels for channels, _, _ in CONVOLUTIONS)
MIDDLE_CHANNELS = 64


class Musicnn(nn.Module):
    """float32 [n, f, m] to the embedding [n, d] and the tags' logits [n, l]."""

    def __init__(self, embedding_dim: int = 200, tags: int = len(TAGS)) -> None:
        super().__init__()
        self.front = nn.ModuleList(nn.Conv2d(1, c, (frames, bands)) for c, frames, bands in CONVOLUTIONS)
        self.middle = nn.ModuleList(
            nn.Conv2d(1, MIDDLE_CHANNELS, (7, width))
            for width in (CHANNELS, MIDDLE_CHANNELS, MIDDLE_CHANNELS)
        )
        pooled = 2 * (CHANNELS + 3 * MIDDLE_CHANNELS)
        widths = [1, *(c for c, _, _ in CONVOLUTIONS), *[MIDDLE_CHANNELS] * 3]
        self.norms = nn.ModuleList(nn.BatchNorm2d(width, eps=1e-3) for width in widths)
        self.pooled_norm = nn.BatchNorm1d(pooled, eps=1e-3)
        self.dense = nn.Linear(pooled, embedding_dim)
        self.dense_norm = nn.BatchNorm1d(embedding_dim, eps=1e-3)
        self.tags = nn.Linear(embedding_dim, tags)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """The embeddings and the logits of a batch of patches."""
        normalised = self.norms[0](patches.unsqueeze(1))
        front = []
        for index, convolution in enumerate(self.front):
            frames = CONVOLUTIONS[index][1]
            # Unpadded over frequency; over time the output has as many frames as the input.
            padded = functional.pad(normalised, (0, 0, (frames - 1) // 2, frames // 2))
            active = self.norms[1 + index](functional.relu(convolution(padded)))
            front.append(active.amax(dim=3))
        outputs = [torch.cat(front, dim=1)]  # each [n, c, f]
        for index, convolution in enumerate(self.middle):
            rows = functional.pad(outputs[-1].transpose(1, 2).unsqueeze(1), (0, 0, 3, 3))
            active = self.norms[6 + index](functional.relu(convolution(rows))).squeeze(3)
            outputs.append(active if index == 0 else active + outputs[-1])
        features = torch.cat(outputs, dim=1)
        pooled = torch.stack([features.amax(dim=2), features.mean(dim=2)], dim=2).flatten(1)
        embedding = self.dense_norm(functional.relu(self.dense(self.pooled_norm(pooled))))
        return embedding, self.tags(embedding)


def reference_with(weights: dict[str, NDArray[np.float32]]) -> Musicnn:
    """The network with the tensors of a checkpoint.

    Raises:
        KeyError: the checkpoint lacks a tensor.
    """
    dims = weights["dense_1/kernel"].shape
    network = Musicnn(embedding_dim=dims[0], tags=dims[1]).eval()
    with torch.no_grad():
        for index, convolution in enumerate([*network.front, *network.middle]):
            name = f"conv2d_{index}" if index else "conv2d"
            _set(convolution.weight, weights[f"{name}/kernel"].transpose(3, 2, 0, 1))
            _set(convolution.bias, weights[f"{name}/bias"])
        for index, norm in enumerate([*network.norms, network.pooled_norm, network.dense_norm]):
            name = f"batch_normalization_{index}" if index else "batch_normalization"
            _set(norm.weight, weights[f"{name}/gamma"])
            _set(norm.bias, weights[f"{name}/beta"])
            _set(norm.running_mean, weights[f"{name}/moving_mean"])
            _set(norm.running_var, weights[f"{name}/moving_variance"])
        for layer, name in ((network.dense, "dense"), (network.tags, "dense_1")):
            _set(layer.weight, weights[f"{name}/kernel"].T)
            _set(layer.bias, weights[f"{name}/bias"])
    return network


def _set(target: Tensor, values: NDArray[np.float32]) -> None:
    """Copy, without broadcasting."""
    if target.shape != values.shape:
        raise ValueError(f"a tensor of shape {list(values.shape)} instead of {list(target.shape)}")
    target.copy_(torch.from_numpy(np.ascontiguousarray(values)))
