"""An encoder's layers from input to output, and how large the steps of each are."""

import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

import timm  # noqa: E402
from torch import nn  # noqa: E402
from torchvision.models import mobilenet_v3_small  # noqa: E402
from transformers import BertModel  # noqa: E402

from genrestream.training.encoders.efficientnet_lite0 import WithBlockStatistics  # noqa: E402
from genrestream.training.encoders.sentences import SentenceEncoder  # noqa: E402
from genrestream.training.errors import TrainingError  # noqa: E402
from genrestream.training.fine_tune.blocks import blocks_of, first_of_last, learn_from  # noqa: E402
from genrestream.training.fine_tune.steps import parameter_groups, rate_share, rate_shares  # noqa: E402
from tests.unit.training.fine_tune.made_models import small_bert  # noqa: E402

TOKENS = torch.tensor([[2, 5, 6, 3], [2, 7, 3, 0]])
PIXELS = torch.zeros(2, 3, 64, 64)


def bert() -> SentenceEncoder:
    return SentenceEncoder(BertModel(small_bert(20)), pad_id=0, token_types=True)


def test_a_transformer_is_its_embeddings_and_its_layers():
    """The pooler is read by nothing, so it is no block; one of the three learns first."""
    blocks = blocks_of(bert(), TOKENS)
    assert [block.name for block in blocks] == [
        "transformer.embeddings",
        "transformer.encoder.layer.0",
        "transformer.encoder.layer.1",
    ]
    assert first_of_last(blocks) == 2


def test_convolutional_networks_are_opened_down_to_what_repeats():
    """EfficientNet-Lite0: stem, 16 blocks of seven stages, head, and the norms between; the last third is the
    head with its norm and five blocks. Other networks are opened as far, with no parameter twice."""
    lite = WithBlockStatistics(timm.create_model("tf_efficientnet_lite0", num_classes=0))
    blocks = blocks_of(lite, PIXELS)
    names = [block.name.removeprefix("network.") for block in blocks]
    assert (names[:2], names[-2:], len(names)) == (["conv_stem", "bn1"], ["conv_head", "bn2"], 20)
    assert names[2:4] == ["blocks.0", "blocks.1.0"]
    assert first_of_last(blocks) == 13
    for network in (timm.create_model("test_vit", img_size=64), mobilenet_v3_small()):
        found = blocks_of(network, PIXELS)
        parameters = [id(parameter) for block in found for parameter in block.parameters]
        assert len(found) > 5
        assert len(set(parameters)) == len(parameters) == len(list(network.parameters()))


def test_shared_weights_are_in_one_block():
    """The first that has them; an optimiser refuses a parameter that is in two groups."""
    first = nn.Linear(4, 4)
    network = nn.Sequential(first, nn.Linear(4, 4), first)
    network.append(nn.Linear(4, 4))
    network[3].weight = first.weight
    blocks = blocks_of(network, torch.ones(2, 4))
    assert [(block.name, len(block.parameters)) for block in blocks] == [("0", 2), ("1", 2), ("3", 1)]


def test_an_encoder_without_parameters_is_refused():
    with pytest.raises(TrainingError, match="the encoder has nothing that can learn"):
        blocks_of(nn.Flatten(), PIXELS)


def test_what_does_not_learn_asks_for_no_gradient():
    """And learns again in the second stage."""
    encoder = bert()
    blocks = blocks_of(encoder, TOKENS)

    def learning() -> list[bool]:
        return [any(parameter.requires_grad for parameter in block.parameters) for block in blocks]

    learn_from(blocks, 2)
    assert learning() == [False, False, True]
    learn_from(blocks, 0)
    assert learning() == [True, True, True]


def test_rates_grow_with_the_layer_and_fall_with_the_steps():
    """From a tenth at the first of three blocks over its root to the whole; a rise of two steps, a fall over
    the other eight to nothing; one block or one step divides by no zero."""
    assert rate_shares(3) == pytest.approx([0.1, 0.1**0.5, 1.0])
    assert rate_shares(1) == [1.0]
    shares = [rate_share(done, 2, 10) for done in range(11)]
    assert shares == pytest.approx([1 / 3, 2 / 3, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0])
    assert rate_share(0, 1, 1) == 0.5
    assert rate_share(1, 1, 1) == 0.0


def test_only_what_learns_is_given_to_the_optimiser():
    """The last layer at the rate and the head at five times it; what has one axis is not decayed."""
    blocks = blocks_of(bert(), TOKENS)
    head = nn.Linear(3, 2)
    groups = parameter_groups(blocks, 2, head, rate=0.5)
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [
        (0.5, 0.01),
        (0.5, 0.0),
        (2.5, 0.01),
        (2.5, 0.0),
    ]
    given = {id(parameter) for group in groups for parameter in group["params"]}
    assert given == {id(parameter) for parameter in (*blocks[2].parameters, *head.parameters())}
    assert all((one.ndim > 1) == (group["weight_decay"] > 0) for group in groups for one in group["params"])


def test_a_plain_picture_has_finite_gradients():
    """Its channels do not vary, and the slope of a root at zero has no bound."""
    lite = WithBlockStatistics(timm.create_model("tf_efficientnet_lite0", num_classes=0))
    for module in lite.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    lite(PIXELS).sum().backward()
    gradients = [parameter.grad for parameter in lite.parameters() if parameter.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
