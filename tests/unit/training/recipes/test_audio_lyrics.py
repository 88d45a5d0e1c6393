"""Texts of any length and padding, read by the language model and the LSTM on top of it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.schemas.tensors import MEL_PATCHES, TOKEN_IDS  # noqa: E402
from genrestream.training.encoders.onnx_export import export  # noqa: E402
from genrestream.training.encoders.parity import largest_difference, run_graph  # noqa: E402
from genrestream.training.recipes.audio_lyrics import LogMelEncoder, LyricsEncoder  # noqa: E402
from genrestream.training.recipes.language_fit import fit_language_model  # noqa: E402
from genrestream.training.recipes.language_model import (  # noqa: E402
    LanguageModel,
    LayerMix,
    in_order,
    reversed_order,
)
from genrestream.training.recipes.spec_audio import ElmoLstm, LogMelCnn  # noqa: E402

PAD = 0
LYRICS = ElmoLstm(network="elmo_lstm", units=6, hidden=5, layers=2)


def texts(lengths: list[int], width: int) -> torch.Tensor:
    """Token ids of the lengths, padded to the width; the same tokens whatever the width."""
    rng = np.random.default_rng(0)
    ids = torch.full((len(lengths), width), PAD)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.from_numpy(rng.integers(1, 20, length))
    return ids


def model() -> LanguageModel:
    torch.manual_seed(0)
    return LanguageModel(20, 6, 2, PAD).eval()


def test_texts_are_turned_round_and_padding_stays():
    ids = torch.tensor([[5, 6, 7, 0, 0], [8, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    order = reversed_order(ids.ne(PAD))
    assert order.tolist() == [[2, 1, 0, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    vectors = torch.randn(3, 5, 4)
    assert torch.equal(in_order(in_order(vectors, order), order), vectors)


def test_padding_changes_no_word_of_the_language_model():
    """Each layer's embeddings of the real tokens, and the loss, are those without padding."""
    network = model()
    with torch.inference_mode():
        narrow, wide = (network(texts([7, 3], width)) for width in (7, 30))
        assert torch.allclose(narrow[0], wide[0, :, :7], atol=1e-6)
        assert torch.allclose(narrow[1, :, :3], wide[1, :, :3], atol=1e-6)
        assert network.loss(texts([7, 3], 7)).item() == pytest.approx(network.loss(texts([7, 3], 30)).item())


def test_each_direction_sees_its_side_alone():
    """The forward half of a word's embedding does not change with what follows, nor the backward half with
    what stood before: else the model would look up what it is asked for."""
    network = model()
    ids = texts([8], 8)
    later, earlier = ids.clone(), ids.clone()
    later[0, 5:] = 19
    earlier[0, :3] = 19
    with torch.inference_mode():
        found, with_later, with_earlier = network(ids), network(later), network(earlier)
    assert torch.allclose(found[:, :, :5, :6], with_later[:, :, :5, :6], atol=1e-6)
    assert not torch.allclose(found[:, 1:, :5, 6:], with_later[:, 1:, :5, 6:], atol=1e-3)
    assert torch.allclose(found[:, :, 3:, 6:], with_earlier[:, :, 3:, 6:], atol=1e-6)
    assert not torch.allclose(found[:, 1:, 3:, :6], with_earlier[:, 1:, 3:, :6], atol=1e-3)


def test_a_language_model_learns_what_words_follow():
    """Untrained it is about as unsure as among all 20 words; of a text that repeats four words it is soon
    sure. It ends frozen, and the same seed gives the same model."""
    repeated = np.array([[1, 2, 3, 4] * 3] * 16)

    def fitted() -> tuple[LanguageModel, float, float]:
        network = model()
        found = fit_language_model(network, repeated, repeated[:4], epochs=12, rate=0.05, seed=0)
        return network, found.untrained, min(found.epochs)

    network, untrained, trained = fitted()
    assert 10 < untrained < 40
    assert trained < 2
    assert not any(parameter.requires_grad for parameter in network.parameters())
    again = fitted()[0].state_dict()
    assert all(torch.equal(value, again[name]) for name, value in network.state_dict().items())


def test_the_mix_begins_as_the_mean_and_can_choose_a_layer():
    """Scalars 0 weigh all layers alike; a large one chooses its layer; the scale multiplies."""
    mix = LayerMix(3)
    layers = torch.randn(2, 3, 4, 5)
    assert torch.allclose(mix(layers), layers.mean(dim=1), atol=1e-6)
    with torch.no_grad():
        mix.weights[2], mix.scale[...] = 50.0, 2.0
    assert torch.allclose(mix(layers), 2 * layers[:, 2], atol=1e-5)


def test_padding_changes_no_lyrics_and_the_graph_says_the_same():
    """In PyTorch and exported, for other batches and lengths than those that were traced; also for a text
    without tokens. The language model's weights are frozen, the mix and the LSTM are not."""
    torch.manual_seed(0)
    network = LyricsEncoder(LYRICS, 20).eval()
    trained = {name.split(".")[0] for name, one in network.named_parameters() if one.requires_grad}
    assert trained == {"mix", "lstm"}
    lengths = [9, 4, 1, 0, 12]
    with torch.inference_mode():
        narrow, wide = (network(texts(lengths, width)).numpy() for width in (12, 32))
    assert np.abs(narrow - wide).max() < 1e-6
    assert np.abs(narrow[0] - narrow[1]).max() > 1e-3
    graph = export(network, texts([6, 2], 8), TOKEN_IDS, ("b", "t"))
    for width in (12, 32):
        found = run_graph(graph, {TOKEN_IDS: texts(lengths, width).numpy()})
        assert largest_difference(found, narrow) < 1e-5


def test_the_log_mel_network_is_exported_as_it_is():
    """The mean over the patches, for other batches than the one that was traced."""
    torch.manual_seed(0)
    network = LogMelEncoder(LogMelCnn(network="log_mel_cnn", width=0.1, embedding=6)).eval()
    patches = torch.rand(5, 3, 187, 96) * 3
    with torch.inference_mode():
        expected = network(patches)
        singles = torch.stack([network(patches[:, patch : patch + 1]) for patch in range(3)])
    assert torch.allclose(expected, singles.mean(dim=0), atol=1e-6)
    graph = export(network, patches[:2], MEL_PATCHES, ("b",))
    assert largest_difference(run_graph(graph, {MEL_PATCHES: patches.numpy()}), expected.numpy()) < 1e-5
