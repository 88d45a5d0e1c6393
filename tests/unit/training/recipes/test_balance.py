"""What a recipe's `balance` makes of draws and losses."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.rebalancing import VOC_CENTRE, rebalancing_weights  # noqa: E402
from genrestream.training.recipes.balance import balanced_draw, balanced_loss  # noqa: E402
from genrestream.training.recipes.loss import binary  # noqa: E402
from genrestream.training.recipes.sampling import first_label_weights  # noqa: E402
from genrestream.training.recipes.spec_audio import Balance  # noqa: E402

# Forty items of label 0, ten of label 1, and ten of both; the first five are not trained on.
HAS = np.array([[1, 0]] * 40 + [[0, 1]] * 10 + [[1, 1]] * 10, bool)
TRAIN = np.arange(5, 60)


def test_by_default_every_item_is_shown_once():
    """In another order each epoch, and so many times as `draws` says."""
    draw = balanced_draw(Balance(), HAS, TRAIN, 0)
    rng = np.random.default_rng(0)
    first, second = draw(rng), draw(rng)
    assert sorted(first.tolist()) == TRAIN.tolist()
    assert first.tolist() != second.tolist()
    twice = balanced_draw(Balance(draws=2), HAS, TRAIN, 0)(rng)
    assert sorted(twice.tolist()) == sorted([*TRAIN.tolist(), *TRAIN.tolist()])


def test_by_label_the_tail_is_shown_as_often_as_the_head():
    """Half of the draws are for either label: of the items with label 1 alone, 1/2 x 10/20 of them."""
    draw = balanced_draw(Balance(by_label=True, draws=60), HAS, TRAIN, 0)
    shown = draw(np.random.default_rng(0))
    assert len(shown) == 60 * 55
    assert set(shown.tolist()) == set(TRAIN.tolist())
    assert np.isin(shown, np.arange(40, 50)).mean() == pytest.approx(0.25, abs=0.03)


def test_thinned_pairs_are_not_shown():
    """Of the ten items with both labels three are left, the same for the same seed."""
    draw = balanced_draw(Balance(most_per_pair=3), HAS, TRAIN, 0)
    shown = draw(np.random.default_rng(0))
    assert (shown >= 50).sum() == 3
    assert len(shown) == 48
    again = balanced_draw(Balance(most_per_pair=3), HAS, TRAIN, 0)(np.random.default_rng(0))
    assert np.array_equal(shown, again)


def test_losses_are_weighted_as_asked():
    """Without weights the loss is the plain one; with both, each label's part has the product of them."""
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32))
    shares = torch.nn.functional.logsigmoid(logits), torch.nn.functional.logsigmoid(-logits)
    wanted = torch.from_numpy(HAS.astype(np.float32))
    assert balanced_loss(Balance(), binary, HAS) is binary
    loss = balanced_loss(Balance(rebalanced=True, class_weights=True), binary, HAS)
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").numpy()
    counts = HAS.sum(axis=0)
    rebalanced = rebalancing_weights(wanted, torch.from_numpy(counts).float(), VOC_CENTRE).numpy()
    weights = rebalanced * first_label_weights(HAS, counts, 60)[:, None]
    np.testing.assert_allclose(loss(shares, wanted).numpy(), (each * weights).sum(axis=1), rtol=1e-5)
