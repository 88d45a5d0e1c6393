"""A trained network as graphs: an encoder a modality, and the head over their embeddings.

Legend: b batch, d embedding size, l labels, m modalities, t tokens.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from genrestream.repository import GRAPH
from genrestream.schemas.items import Modality
from genrestream.schemas.tensors import CONFIDENCES, PRESENCE, embedding_input, encoder_input
from genrestream.training.encoders.onnx_export import OPSET, check_graph, export
from genrestream.training.encoders.parity import largest_difference, run_graph
from genrestream.training.errors import TrainingError
from genrestream.training.head_rows import MODALITIES
from genrestream.training.recipes.branches import BranchFeatures
from genrestream.training.recipes.network import FusedHead, RecipeNetwork

MAX_DIFFERENCE = 1e-3
"""Of an embedding, over its largest value: float32 sums in another order."""


class _OverTensors(nn.Module):
    """A head whose embeddings come one after the other, in the order of its modalities, then presence."""

    def __init__(self, head: FusedHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, *tensors: Tensor) -> Tensor:
        embeddings = dict(zip(self.head.modalities, tensors[:-1], strict=True))
        confidences: Tensor = self.head(embeddings, tensors[-1])
        return confidences


def export_encoder(
    network: RecipeNetwork,
    modality: Modality,
    features: BranchFeatures,
    inputs: Tensor,
    expected: NDArray[np.float32],
) -> bytes:
    """A modality's encoder as a graph that gives for `inputs` [b, ...] what PyTorch did, `expected` [b, d].

    Raises:
        TrainingError: it differs.
    """
    name = encoder_input(features.features).name
    free = ("b", "t") if modality is Modality.TEXT else ("b",)
    graph = export(network.encoder(modality), inputs[:2], name, free)
    check_graph(graph)
    found = run_graph(graph, {name: inputs.numpy()})
    difference = largest_difference(found, expected)
    # NaN is no parity, so the comparison is written to be false for it.
    if not difference <= MAX_DIFFERENCE:
        raise TrainingError(
            f"the exported {modality} encoder differs from the trained one by {difference:.2g}"
        )
    return graph


def export_fused_head(head: FusedHead, dims: Mapping[Modality, int], labels: int) -> bytes:
    """The head's graph, with the tensors of `schemas.tensors`; `dims` are its embeddings' sizes."""
    tensors = [torch.zeros(2, dims[modality]) for modality in head.modalities]
    names = [*(embedding_input(modality) for modality in head.modalities), PRESENCE]
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / GRAPH
        torch.onnx.export(
            _OverTensors(head).eval(),
            (*tensors, torch.ones(2, len(MODALITIES))),
            path,
            input_names=names,
            output_names=[CONFIDENCES],
            dynamic_axes={name: {0: "b"} for name in (*names, CONFIDENCES)},
            opset_version=OPSET,
            # The newer exporter needs another package.
            dynamo=False,
        )
        model = onnx.load(path)
    # The exporter loses the size behind some reductions; Triton compares it with the configuration.
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = labels
    graph = bytes(model.SerializeToString())
    check_graph(graph)
    return graph
