"""A BERT of Hugging Face from the ONNX graph that was exported of it.

Exporters keep the parameters' names, but for matrices of linear layers: these become nameless constants,
transposed, of nodes that are named after the module that they were.
"""

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from genrestream.training.encoders.draft import EncoderError


def bert_from_onnx(graph: bytes, heads: int) -> nn.Module:
    """The network without its pooler, in evaluation mode.

    `heads` is the number of attention heads a layer.

    Raises:
        EncoderError: it is no graph of a BERT.
    """
    from transformers import BertConfig, BertModel  # noqa: PLC0415 - two seconds to import

    weights = _parameters(graph)
    try:
        words, width = weights["embeddings.word_embeddings.weight"].shape
        config = BertConfig(
            vocab_size=words,
            hidden_size=width,
            num_hidden_layers=_layers(weights),
            num_attention_heads=heads,
            intermediate_size=weights["encoder.layer.0.intermediate.dense.weight"].shape[0],
            max_position_embeddings=weights["embeddings.position_embeddings.weight"].shape[0],
            type_vocab_size=weights["embeddings.token_type_embeddings.weight"].shape[0],
            # Every configuration takes it, though its class does not name it.
            attn_implementation="eager",  # type: ignore[call-arg]
        )
        network: nn.Module = BertModel(config, add_pooling_layer=False)  # type: ignore[no-untyped-call]
        wanted = network.state_dict()
        network.load_state_dict({name: torch.from_numpy(weights[name].copy()) for name in wanted})
    except (KeyError, ValueError, RuntimeError) as error:
        raise EncoderError(f"the graph is no BERT: {error}") from error
    return network.eval()


def _parameters(graph: bytes) -> dict[str, NDArray[np.float32]]:
    """By the names that they have in PyTorch."""
    try:
        network = onnx.load_from_string(graph).graph
    except DecodeError as error:
        raise EncoderError(f"no ONNX graph: {error}") from error
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in network.initializer}
    found = {name: values for name, values in constants.items() if "::" not in name}
    for node in network.node:
        if node.op_type == "MatMul" and node.input[1] in constants:
            module = node.name.strip("/").removesuffix("/MatMul").replace("/", ".")
            found[f"{module}.weight"] = constants[node.input[1]].T
    return found


def _layers(weights: dict[str, NDArray[np.float32]]) -> int:
    of_layers = (name.split(".")[2] for name in weights if name.startswith("encoder.layer."))
    return 1 + max(map(int, of_layers))
