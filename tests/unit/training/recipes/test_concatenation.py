"""Fusion by concatenation, with and without all modalities."""

import numpy as np
import pytest

from genrestream.repository.graph import Graph
from genrestream.schemas import Modality
from genrestream.schemas.tensors import CONFIDENCES, PRESENCE, embedding_input

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.recipes.concatenation import Concatenation  # noqa: E402
from genrestream.training.recipes.export import export_fused_head  # noqa: E402

PRIOR = np.array([0.3, 0.1], np.float32)
DIMS = {Modality.AUDIO: 3, Modality.TEXT: 4}


def head() -> Concatenation:
    torch.manual_seed(0)
    return Concatenation(DIMS, PRIOR).eval()


def embeddings(items: int) -> dict[Modality, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {modality: torch.randn(items, dim, generator=generator) for modality, dim in DIMS.items()}


def test_what_is_absent_changes_nothing():
    """Whatever stands in an absent modality's embedding; without any modality it is the labels' shares, and
    those are where untrained biases begin."""
    given = embeddings(2)
    only_text = torch.tensor([[1.0, 0.0, 0.0]] * 2)
    other = {**given, Modality.AUDIO: given[Modality.AUDIO] + 5}
    with torch.no_grad():
        found = head()(given, only_text)
        assert torch.equal(found, head()(other, only_text))
        assert not torch.allclose(found, head()(given, torch.ones(2, 3)), atol=1e-3)
        assert head()(given, torch.zeros(2, 3)).numpy() == pytest.approx(np.tile(PRIOR, (2, 1)), abs=1e-6)
        zeros = {modality: torch.zeros_like(one) for modality, one in given.items()}
        assert head()(zeros, torch.ones(2, 3)).numpy() == pytest.approx(np.tile(PRIOR, (2, 1)), abs=1e-6)


def test_the_loss_is_made_of_the_same_confidences():
    """Their logarithms and those of one less them."""
    with torch.no_grad():
        yes, no = head().log_shares(embeddings(5), torch.ones(5, 3))
        found = head()(embeddings(5), torch.ones(5, 3))
    assert torch.allclose(yes.exp(), found, atol=1e-6)
    assert torch.allclose(no.exp(), 1 - found, atol=1e-6)


def test_the_exported_head_says_the_same(tmp_path):
    """For every subset of the modalities, and for batches of another size than the one that was traced."""
    given = embeddings(4)
    presence = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    (tmp_path / "model.onnx").write_bytes(export_fused_head(head(), DIMS, 2))
    inputs = {embedding_input(modality): one.numpy() for modality, one in given.items()}
    found = Graph(tmp_path / "model.onnx").run({**inputs, PRESENCE: presence.numpy()}, CONFIDENCES)
    with torch.no_grad():
        assert found == pytest.approx(head()(given, presence).numpy(), abs=1e-6)
