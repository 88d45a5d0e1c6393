"""VGG16 (Simonyan & Zisserman 2015, arXiv:1409.1556) as an encoder, in torchvision's form.

Legend: b batch, h height, w width, d embedding size.
"""

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torchvision.models import VGG16_BN_Weights, VGG16_Weights
from torchvision.models.vgg import cfgs, make_layers

from genrestream.training.encoders.weights import DOWNLOAD_ERRORS, first_line, read_state_dict
from genrestream.training.errors import TrainingError
from genrestream.training.recipes.spec import IMAGENET, NO_WEIGHTS, Vgg16

MEAN_BGR = (103.53, 116.28, 123.675)
DEVIATION_BGR = (57.375, 57.12, 58.395)
"""ImageNet's over 0..255 (torchvision's .406, .456, .485 and .225, .224, .229), blue first."""
MIN_CHANNELS = 4
BLOCKS = 5


class Vgg16Encoder(nn.Module):
    """Pictures [b, h, w, 3], RGB, 0..255 (uint8, or float32 when augmented) to float32 [b, d].

    Turned to BGR, less the mean and over the deviation of each channel; 13 convolutions, the mean over the
    picture, and a layer of its own in the place of the published head.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, spec: Vgg16) -> None:
        super().__init__()
        self.embedding_dim = spec.embedding
        self.register_buffer("mean", torch.tensor(MEAN_BGR).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION_BGR).view(1, 3, 1, 1), persistent=False)
        self.features = _features(spec)
        channels = next(layer for layer in reversed(self.features) if isinstance(layer, nn.Conv2d))
        self.head = nn.Sequential(
            nn.Linear(channels.out_channels, spec.embedding), nn.ReLU(), nn.Dropout(spec.dropout)
        )
        self._frozen = _first_blocks(self.features, BLOCKS - spec.trained_blocks)
        for layer in self._frozen:
            layer.requires_grad_(requires_grad=False)

    def train(self, mode: bool = True) -> Self:
        """As any module; what does not learn keeps the statistics of its batch norms, too."""
        super().train(mode)
        for layer in self._frozen:
            layer.eval()
        return self

    def forward(self, image: Tensor) -> Tensor:
        """The embeddings of a batch of pictures."""
        blue_first = image.permute(0, 3, 1, 2).to(torch.float32).flip(1)
        found = self.features((blue_first - self.mean) / self.deviation)
        embedding: Tensor = self.head(found.mean(dim=(2, 3)))
        return embedding


def load_weights(encoder: Vgg16Encoder, spec: Vgg16) -> None:
    """The convolutions' weights as `spec.weights` says: of torchvision's VGG16, or by a path.

    A file holds tensors by torchvision's names (`features.0.weight`), over RGB; the head is left out.

    Raises:
        TrainingError: they cannot be had, or are those of another network; one line that says what to do.
    """
    if spec.weights == NO_WEIGHTS:
        return
    state = _imagenet(spec) if spec.weights == IMAGENET else read_state_dict(Path(spec.weights))
    wanted = encoder.features.state_dict()
    given = {name.removeprefix("features."): value for name, value in state.items() if "features." in name}
    for name, value in wanted.items():
        if name not in given:
            raise TrainingError(
                f"{spec.weights} has no features.{name}: it is no VGG16 of torchvision's names"
            )
        if given[name].shape != value.shape:
            raise TrainingError(
                f"{spec.weights}: features.{name} has shape {list(given[name].shape)}, "
                f"a VGG16 of width {spec.width:g} has {list(value.shape)}"
            )
    chosen = {name: given[name] for name in wanted}
    # They were trained on RGB; the channels of the first convolution change places instead of the picture's.
    chosen["0.weight"] = chosen["0.weight"].flip(1)
    encoder.features.load_state_dict(chosen)


def _features(spec: Vgg16) -> nn.Sequential:
    """The 13 convolutions and 5 poolings, with a share of the published channels."""
    layout = [
        layer if isinstance(layer, str) else max(MIN_CHANNELS, round(layer * spec.width))
        for layer in cfgs["D"]
    ]
    features: nn.Sequential = make_layers(layout, batch_norm=spec.batch_norm)
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            # As torchvision's VGG does it.
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return features


def _first_blocks(features: nn.Sequential, blocks: int) -> list[nn.Module]:
    """The layers of the first `blocks`, each up to its pooling."""
    layers: list[nn.Module] = []
    for layer in features:
        if sum(isinstance(found, nn.MaxPool2d) for found in layers) == blocks:
            break
        layers.append(layer)
    return layers


def _imagenet(spec: Vgg16) -> dict[str, Tensor]:
    weights = VGG16_BN_Weights.IMAGENET1K_V1 if spec.batch_norm else VGG16_Weights.IMAGENET1K_V1
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True)
    except DOWNLOAD_ERRORS as error:
        raise TrainingError(
            f"VGG16's ImageNet weights cannot be had from {weights.url} ({first_line(error)}): "
            "fetch that file elsewhere and name it with `weights: PATH`, or say `weights: none`"
        ) from error
    return state
