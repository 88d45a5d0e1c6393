"""An encoder in bfloat16: every CPU computes in it, most of them slowly."""

from pathlib import Path

import pytest

from genrestream.schemas import Kind, Modality
from tests.unit.training.made_set import make_set

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.fine_tune import network  # noqa: E402
from genrestream.training.fine_tune.network import TunedEncoder  # noqa: E402
from genrestream.training.fine_tune.settings import TuneSettings  # noqa: E402
from genrestream.training.fine_tune.tune import TuneRequest, fine_tune  # noqa: E402
from genrestream.training.request import TrainRequest  # noqa: E402
from tests.unit.training.fine_tune.made_models import COLOURS, deaf_bert  # noqa: E402


@pytest.fixture
def with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "has_bfloat16", lambda device: True)


def test_embeddings_are_of_bfloat16_and_weights_of_float32(with_bfloat16):
    """Every embedding is a bfloat16 number, within its 8 bits of that in float32; gradients are float32."""
    torch.manual_seed(0)
    layer = torch.nn.Linear(8, 4)
    tuned, inputs = TunedEncoder(layer, 4, "cpu"), torch.randn(16, 8)
    learning = tuned.train()(inputs)
    exact = layer(inputs)
    assert learning.dtype == torch.float32
    assert torch.equal(learning, learning.bfloat16().float())
    assert not torch.equal(learning, exact)
    assert torch.allclose(learning, exact, rtol=2**-6, atol=2**-6)
    assert torch.equal(tuned.eval()(inputs), learning)
    learning.sum().backward()
    assert {each.dtype for each in (layer.weight, layer.weight.grad)} == {torch.float32}


def test_without_bfloat16_all_is_float32(monkeypatch: pytest.MonkeyPatch):
    """Where it would only be slow."""
    monkeypatch.setattr(network, "has_bfloat16", lambda device: False)
    layer, inputs = torch.nn.Linear(8, 4), torch.randn(16, 8)
    assert torch.equal(TunedEncoder(layer, 4, "cpu").train()(inputs), layer(inputs))


def test_nothing_within_is_dropped_and_batches_count_for_nothing():
    """In training each item's embedding is that in evaluation, whatever is in its batch."""
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 4), torch.nn.Dropout(0.5))
    inputs = torch.randn(16, 8)
    whole = torch.nn.Sequential(TunedEncoder(layers, 4, "cpu"))
    learning = whole.train()(inputs)
    alone = torch.cat([whole.train()(item[None]) for item in inputs])
    assert torch.equal(learning, whole.eval()(inputs))
    assert torch.allclose(learning, alone, atol=1e-6)


def test_an_encoder_learns_in_bfloat16_what_it_could_not_tell(tmp_path: Path, with_bfloat16):
    """As far as it does in float32: from near chance to mostly right, as served too."""
    deaf_bert(tmp_path / "deaf-bert")
    make_set(tmp_path / "shows", 200, genres=COLOURS)
    training = TrainRequest(
        [tmp_path / "shows"], Kind.PODCAST, "genres", "genres", tmp_path / "models", tmp_path / "store"
    )
    spec = f"hf:{tmp_path / 'deaf-bert'}"
    settings = TuneSettings(epochs=6, batch_items=4, rate=0.01)
    figures = fine_tune(TuneRequest(training, Modality.TEXT, spec, settings=settings)).figures
    assert figures["untuned"].mean_ap < 0.7
    assert figures["tuned"].mean_ap > figures["untuned"].mean_ap + 0.15
    assert figures["tuned, as served"].mean_ap > figures["untuned"].mean_ap + 0.15
