"""Picture networks from torchvision, timm or Hugging Face to encoders.

Legend: b batch, h height, w width, d embedding size.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genrestream.schemas import ImageFeatures
from genrestream.schemas.tensors import IMAGE
from genrestream.training.encoders.draft import Check, Draft, Progress
from genrestream.training.encoders.examples import Examples, picture_batch
from genrestream.training.encoders.onnx_export import export, static_int8
from genrestream.training.encoders.parity import cosines, found_again, largest_difference, run_graph
from genrestream.training.encoders.picture_graph import PIXELS, over_pictures
from genrestream.training.encoders.same_padding import with_constant_padding

CALIBRATION_PICTURES = 120
CHECKED_PICTURES = 24
EXAMPLE_PICTURES = CALIBRATION_PICTURES + CHECKED_PICTURES
"""At most so many are read."""
MAX_FLOAT_DIFFERENCE = 1e-3
"""Relative to the largest value of an embedding: float32 sums in another order."""
MIN_INT8_COSINE = 0.95
MAX_INT8_SIZE = 0.6
"""Of the float graph's size; a graph that hardly shrinks is no convolutional network, and stays in float."""
MIN_FOUND_AGAIN = 0.75
"""Trained networks reach 1.0, random weights some 0.8, a network that says the same of everything 0.04."""


class PictureEncoder(nn.Module):
    """uint8 [b, h, w, 3] to float32 [b, d]: normalises, runs the network, and nothing else."""

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        """`mean` and `std` are on the scale 0..255, a value a channel."""
        super().__init__()
        self.network = network
        self.pixel_mean = tuple(mean)
        self.pixel_std = tuple(std)

    def normalised(self, image: Tensor) -> Tensor:
        """The network's own input, float32 [b, 3, h, w]."""
        mean, std = (
            torch.tensor(values, device=image.device).view(1, 3, 1, 1)
            for values in (self.pixel_mean, self.pixel_std)
        )
        return (image.permute(0, 3, 1, 2).to(torch.float32) - mean) / std

    def forward(self, image: Tensor) -> Tensor:
        """The embeddings of a batch of pictures."""
        embedding: Tensor = self.network(self.normalised(image))
        return embedding


def embed(encoder: nn.Module, batch: NDArray[np.generic], chunk: int = 8) -> NDArray[np.float32]:
    """What the module gives in PyTorch, float32 [b, d], `chunk` items at a time."""
    with torch.inference_mode():
        parts = [
            encoder(torch.from_numpy(batch[start : start + chunk])) for start in range(0, len(batch), chunk)
        ]
    embeddings: NDArray[np.float32] = torch.cat(parts).numpy()
    return embeddings


def build_picture_encoder(
    encoder: PictureEncoder,
    model: str,
    features: ImageFeatures,
    source: str,
    licence: str,
    examples: Examples,
    progress: Progress,
) -> Draft:
    """The encoder exported, calibrated and checked on pictures of the examples.

    Raises:
        EncoderError: there is no picture to check it with.
    """
    batch = picture_batch(examples.pictures, features, EXAMPLE_PICTURES, progress)
    return draft_picture_encoder(encoder, model, features, source, licence, batch, progress)


def draft_picture_encoder(
    encoder: PictureEncoder,
    model: str,
    features: ImageFeatures,
    source: str,
    licence: str,
    batch: NDArray[np.uint8],
    progress: Progress,
    min_found_again: float = MIN_FOUND_AGAIN,
) -> Draft:
    """The encoder exported, in eight bits where those keep its embeddings, with its checks.

    `batch` uint8 [b, h, w, 3] are pictures to calibrate and check with.
    """
    encoder.eval()
    checked = batch[:: max(1, len(batch) // CHECKED_PICTURES)][:CHECKED_PICTURES]
    reference = embed(encoder, checked)
    network = with_constant_padding(encoder.network, encoder.normalised(torch.from_numpy(checked[:1])))
    progress("export to ONNX", 0, 1)
    over_pixels = export(network, encoder.normalised(torch.from_numpy(checked[:2])), PIXELS, ("b",))
    graph = over_pictures(over_pixels, features, encoder.pixel_mean, encoder.pixel_std)
    final = run_graph(graph, {IMAGE: checked})
    checks = [
        Check("difference from torch", largest_difference(final, reference), at_most=MAX_FLOAT_DIFFERENCE)
    ]
    int8 = _int8(encoder, over_pixels, features, batch[:CALIBRATION_PICTURES], progress)
    if len(int8) < MAX_INT8_SIZE * len(graph):
        quantised = run_graph(int8, {IMAGE: checked})
        int8_cosine = float(cosines(quantised, reference).min())
        if int8_cosine >= MIN_INT8_COSINE:
            graph, final = int8, quantised
            checks.append(Check("int8 cosine, least", int8_cosine, at_least=MIN_INT8_COSINE))
    dimmed = run_graph(graph, {IMAGE: dim(checked)})
    checks.append(Check("dimmed pictures found again", found_again(dimmed, final), at_least=min_found_again))
    return Draft(
        model=model,
        features=features,
        embedding_dim=reference.shape[1],
        graph=graph,
        source=source,
        licence=licence,
        checks=tuple(checks),
    )


def _int8(
    encoder: PictureEncoder,
    over_pixels: bytes,
    features: ImageFeatures,
    batch: NDArray[np.uint8],
    progress: Progress,
) -> bytes:
    """The graph in eight bits, calibrated on the batch and on a picture of black and white rows.

    With the latter the quantiser sees the pixels' whole range whatever the batch holds.
    """
    rows = np.zeros((1, *batch.shape[1:]), np.uint8)
    rows[:, ::2] = 255
    pixels = encoder.normalised(torch.from_numpy(np.concatenate([rows, batch]))).numpy()
    return over_pictures(
        static_int8(over_pixels, PIXELS, pixels, progress), features, encoder.pixel_mean, encoder.pixel_std
    )


def dim(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pictures at 80 % brightness, as under another lamp."""
    return (pictures * np.float32(0.8)).astype(np.uint8)
