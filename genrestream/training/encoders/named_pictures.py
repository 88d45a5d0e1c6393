"""Picture networks by name: torchvision, timm, Hugging Face; published weights or a state dict.

Legend: b batch, h height, w width, d embedding size.
"""

from pathlib import Path
from typing import Any

import timm
import torchvision
from timm.data.config import resolve_model_data_config
from torch import Tensor, nn

from genrestream.schemas import ImageFeatures
from genrestream.training.encoders.draft import EncoderError
from genrestream.training.encoders.pictures import PictureEncoder
from genrestream.training.encoders.weights import DOWNLOAD_ERRORS, read_state_dict, unavailable, without_notes

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
"""ImageNet's, on the scale 0..255: what torchvision's classifiers were trained with."""
DEFAULT_SIDE_PX = 224


def load_picture_encoder(
    source: str, name: str, weights: Path | None
) -> tuple[PictureEncoder, ImageFeatures]:
    """A named network and the pictures that it takes.

    Raises:
        EncoderError: there is no such network, its weights cannot be had, or it takes no pictures.
    """
    without_notes()
    match source:
        case "timm":
            return from_timm(name, weights)
        case "torchvision":
            return from_torchvision(name, weights)
        case _:
            return from_hugging_face(name)


def from_timm(name: str, weights: Path | None) -> tuple[PictureEncoder, ImageFeatures]:
    """A network of timm, its pooled features as the embedding, with the size and normalisation it states."""
    if not timm.is_model(name):
        raise EncoderError(f"timm has no model {name}")
    try:
        network = timm.create_model(name, pretrained=weights is None, num_classes=0)
    except DOWNLOAD_ERRORS as error:
        raise unavailable(f"timm:{name}", error) from error
    if weights is not None:
        load(network, read_state_dict(weights), name)
    config = resolve_model_data_config(network)  # type: ignore[no-untyped-call]
    _, height_px, width_px = config["input_size"]
    features = ImageFeatures(height_px=height_px, width_px=width_px, resize=_resize(config["interpolation"]))
    mean, std = ([255 * value for value in config[key]] for key in ("mean", "std"))
    return PictureEncoder(network, mean, std), features


def from_torchvision(name: str, weights: Path | None) -> tuple[PictureEncoder, ImageFeatures]:
    """A classifier of torchvision without its last layer."""
    if name not in torchvision.models.list_models(torchvision.models):
        raise EncoderError(f"torchvision has no classifier {name}")
    try:
        network = torchvision.models.get_model(name, weights=None if weights else "DEFAULT")
    except DOWNLOAD_ERRORS as error:
        raise unavailable(f"torchvision:{name}", error) from error
    if weights is not None:
        load(network, read_state_dict(weights), name)
    without_last_linear(network, name)
    side_px, mean, std = DEFAULT_SIDE_PX, IMAGENET_MEAN, IMAGENET_STD
    return PictureEncoder(network, mean, std), ImageFeatures(
        height_px=side_px, width_px=side_px, resize="bilinear"
    )


def from_hugging_face(name: str) -> tuple[PictureEncoder, ImageFeatures]:
    """A picture model of transformers: its pooled output, else the mean of its last layer."""
    from transformers import AutoImageProcessor, AutoModel  # noqa: PLC0415 - two seconds to import

    local = Path(name).is_dir()
    try:
        network = AutoModel.from_pretrained(name, local_files_only=local, use_safetensors=True)
        processor: Any = AutoImageProcessor.from_pretrained(name, local_files_only=local)  # type: ignore[no-untyped-call]
    except DOWNLOAD_ERRORS as error:
        raise unavailable(name, error) from error
    network = getattr(network, "vision_model", network)
    size = dict(processor.crop_size if getattr(processor, "do_center_crop", False) else processor.size)
    side_px = size.get("shortest_edge", DEFAULT_SIDE_PX)
    features = ImageFeatures(height_px=size.get("height", side_px), width_px=size.get("width", side_px))
    scale = 1 / processor.rescale_factor
    mean, std = (
        [scale * value for value in values] for values in (processor.image_mean, processor.image_std)
    )
    return PictureEncoder(_Pooled(network), mean, std), features


class _Pooled(nn.Module):
    """float32 [b, 3, h, w] to float32 [b, d] by a model of transformers."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        output = self.network(pixel_values=pixels)
        pooled = getattr(output, "pooler_output", None)
        if pooled is None:
            states = output.last_hidden_state
            # Transformers give [b, tokens, d], convolutional networks [b, d, h, w].
            pooled = states.mean(dim=1) if states.ndim == 3 else states.mean(dim=(2, 3))
        flat: Tensor = pooled.flatten(1)
        return flat


def without_last_linear(network: nn.Module, name: str) -> None:
    """Replace the classifier's last linear layer by nothing, so that its input is the output.

    Raises:
        EncoderError: the network does not end in one.
    """
    layers = [(path, module) for path, module in network.named_modules() if isinstance(module, nn.Linear)]
    if not layers or layers[-1][0].partition(".")[0] not in {"fc", "classifier", "head", "heads"}:
        raise EncoderError(f"{name} does not end in a linear classifier")
    parent, _, last = layers[-1][0].rpartition(".")
    setattr(network.get_submodule(parent), last, nn.Identity())


def load(network: nn.Module, state: dict[str, Tensor], name: str) -> None:
    """Load a state dict; a classifier that the network was made without is left out.

    Raises:
        EncoderError: a tensor is missing, or has another shape.
    """
    wanted = network.state_dict()
    try:
        network.load_state_dict({key: value for key, value in state.items() if key in wanted})
    except RuntimeError as error:
        raise EncoderError(
            f"the weights are not those of {name}: {' '.join(str(error).split())[:200]}"
        ) from error


def _resize(interpolation: Any) -> Any:
    return "bilinear" if interpolation == "bilinear" else "bicubic"
