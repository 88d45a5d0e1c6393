"""A BERT comes back from the graph that was exported of it."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from transformers import BertConfig, BertModel

from genrestream.schemas.tensors import TOKEN_IDS
from genrestream.training.encoders.bert_from_onnx import bert_from_onnx
from genrestream.training.encoders.draft import EncoderError
from genrestream.training.encoders.onnx_export import export
from genrestream.training.encoders.sentences import SentenceEncoder

pytestmark = pytest.mark.training

HEADS = 2
SIZES = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 24}


class LastStates(torch.nn.Module):
    """As encoders are published: the graph's nodes are named after the transformer's own modules."""

    def __init__(self, bert):
        super().__init__()
        self.embeddings, self.encoder = bert.embeddings, bert.encoder

    def forward(self, token_ids):
        states = self.embeddings(input_ids=token_ids, token_type_ids=torch.zeros_like(token_ids))
        return self.encoder(states).last_hidden_state[:, 0]


@pytest.fixture(scope="module")
def bert():
    torch.manual_seed(0)
    config = BertConfig(
        **SIZES, num_attention_heads=HEADS, max_position_embeddings=32, attn_implementation="eager"
    )
    network = BertModel(config, add_pooling_layer=False).eval()
    # As if it had learnt: the exporter writes equal parameters, such as new biases, once.
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return network


@pytest.fixture(scope="module")
def graph(bert):
    return export(LastStates(bert), torch.ones(2, 8, dtype=torch.int64), TOKEN_IDS, ("b", "t"))


def test_every_parameter_comes_back(bert, graph):
    """By its name, to the bit; the sizes are read off the graph."""
    found = bert_from_onnx(graph, HEADS)
    assert not found.training
    for name, value in bert.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name
    ids = torch.from_numpy(np.arange(12).reshape(2, 6) + 1)
    same = [SentenceEncoder(one, 0, token_types=True)(ids) for one in (bert, found)]
    assert torch.allclose(*same, atol=1e-6)


def test_another_graph_is_refused():
    """A layer without BERT's names, and bytes that are no graph."""
    other = export(torch.nn.Linear(3, 2), torch.ones(1, 3), TOKEN_IDS, ("b",))
    with pytest.raises(EncoderError, match="is no BERT"):
        bert_from_onnx(other, HEADS)
    with pytest.raises(EncoderError, match="no ONNX graph"):
        bert_from_onnx(b"not a graph", HEADS)


def test_a_wrong_number_of_heads_is_refused(graph):
    """It has to divide the width."""
    with pytest.raises(EncoderError, match="is no BERT"):
        bert_from_onnx(graph, 3)
