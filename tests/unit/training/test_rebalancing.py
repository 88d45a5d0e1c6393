"""The weight that takes back what drawing by label draws for other labels' sake."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.rebalancing import VOC_CENTRE, rebalancing_weights  # noqa: E402

# Eight items of label 0, two of label 1, of which one has both; one item without a label.
WANTED = torch.tensor([[1.0, 0.0]] * 7 + [[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])


def test_it_takes_back_what_was_drawn_for_another_label():
    """An item drawn for its one label alone has ratio 1 and weight 0.1 + sigmoid(10 (1 - 0.3)); of the one
    with both, label 0 had 1/5 of the draws: 0.1 + sigmoid(10 (0.2 - 0.3)); label 1 4/5."""
    weights = rebalancing_weights(WANTED, WANTED.sum(dim=0), VOC_CENTRE).numpy()
    assert weights[0, 0] == pytest.approx(0.1 + 1 / (1 + np.exp(-7)), rel=1e-5)
    assert weights[7, 0] == pytest.approx(0.1 + 1 / (1 + np.exp(1)), rel=1e-5)
    assert weights[7, 1] == pytest.approx(0.1 + 1 / (1 + np.exp(-5)), rel=1e-5)
    assert weights.min() >= 0.1
    assert weights.max() <= 1.1


def test_a_label_or_an_item_of_nothing_is_no_division_by_0():
    """A label of no item changes nothing for the others, an item without labels has finite weights, and
    leading dimensions are kept."""
    with_another = torch.cat([WANTED, torch.zeros(10, 1)], dim=1)
    weights = rebalancing_weights(with_another[:, None, :], with_another.sum(dim=0), VOC_CENTRE)
    assert weights.shape == (10, 1, 3)
    assert torch.isfinite(weights).all()
    alone = rebalancing_weights(WANTED, WANTED.sum(dim=0), VOC_CENTRE)
    assert torch.equal(weights[:9, 0, :2], alone[:9])
