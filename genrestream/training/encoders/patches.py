"""Audio encoders that hear one log-mel patch at a time and average over an item's patches.

Legend: b batch, p patches, n = b * p, f frames, m mel bands, d embedding size.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genrestream.schemas import AudioFeatures
from genrestream.schemas.tensors import MEL_PATCHES
from genrestream.training.encoders.draft import Check, Draft
from genrestream.training.encoders.onnx_export import export
from genrestream.training.encoders.parity import found_again, largest_difference, run_graph
from genrestream.training.encoders.pictures import MAX_FLOAT_DIFFERENCE, MIN_FOUND_AGAIN, embed

LOUDER_LOG10 = 0.2
"""2 dB: in log10 of power."""


class PatchEncoder(nn.Module):
    """float32 [b, p, f, m] to float32 [b, d]: the mean of a network's output over an item's patches."""

    def __init__(self, network: nn.Module) -> None:
        """`network` takes float32 [n, 1, f, m] and gives float32 [n, d]."""
        super().__init__()
        self.network = network

    def forward(self, mel_patches: Tensor) -> Tensor:
        """The embeddings of a batch of recordings."""
        p, f, m = mel_patches.shape[1:]
        each = self.network(mel_patches.reshape(-1, 1, f, m))
        mean: Tensor = each.reshape(-1, p, each.shape[1]).mean(dim=1)
        return mean


def build_patch_encoder(
    encoder: PatchEncoder,
    model: str,
    features: AudioFeatures,
    source: str,
    licence: str,
    batch: NDArray[np.float32],
    more_checks: Sequence[Check] = (),
    min_found_again: float = MIN_FOUND_AGAIN,
) -> Draft:
    """The encoder exported in float32 (eight bits are slower here), checked on a batch [b, p, f, m]."""
    encoder.eval()
    reference = embed(encoder, batch)
    graph = export(encoder, torch.from_numpy(batch[:2]), MEL_PATCHES, ("b",))
    exported = run_graph(graph, {MEL_PATCHES: batch})
    louder = run_graph(graph, {MEL_PATCHES: make_louder(batch)})
    difference = largest_difference(exported, reference)
    return Draft(
        model=model,
        features=features,
        embedding_dim=reference.shape[1],
        graph=graph,
        source=source,
        licence=licence,
        checks=(
            Check("difference from torch", difference, at_most=MAX_FLOAT_DIFFERENCE),
            Check("louder recordings found again", found_again(louder, exported), at_least=min_found_again),
            *more_checks,
        ),
    )


def make_louder(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    """Log-mel patches as if the sound were 2 dB louder; silence stays silence."""
    return np.where(patches > 0, patches + np.float32(LOUDER_LOG10), patches)
