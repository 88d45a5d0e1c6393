"""The recipes' training loop and augmentation, on rows made here."""

import copy
import math

import numpy as np
import pytest

from genrestream.schemas import Modality
from genrestream.training.errors import CollapsedError, TrainingError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.recipes import loop  # noqa: E402
from genrestream.training.recipes.augment import augmented  # noqa: E402
from genrestream.training.recipes.data import RecipeRows  # noqa: E402
from genrestream.training.recipes.gru import GruEncoder  # noqa: E402
from genrestream.training.recipes.loop import Curves, fit_network, in_batches, mean_loss, shuffled  # noqa: E402
from genrestream.training.recipes.loss import categorical  # noqa: E402
from genrestream.training.recipes.network import LateFusion, LogShares, RecipeNetwork  # noqa: E402
from genrestream.training.recipes.spec import Fit, Gru  # noqa: E402

ITEMS = 60
TRAIN, VALIDATION = np.arange(40), np.arange(40, ITEMS)


def rows() -> tuple[RecipeRows, np.ndarray]:
    """Texts of one word that says the label, 3 or 4, among others by chance; the last has no text."""
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=ITEMS)
    ids = np.stack([np.full(ITEMS, 2), 3 + label, rng.integers(5, 20, ITEMS)], axis=1).astype(np.int32)
    places = np.arange(ITEMS)
    places[-1] = -1
    presence = np.zeros((ITEMS, 3), np.float32)
    presence[:, 0] = places >= 0
    targets = np.stack([label == 0, label == 1], axis=1)
    return RecipeRows({Modality.TEXT: ids}, {Modality.TEXT: places}, presence, 0), targets


def new_network() -> RecipeNetwork:
    torch.manual_seed(0)
    encoder = GruEncoder(Gru(network="gru", word_dim=8, hidden=8, dropout=0.2), ids=20)
    return RecipeNetwork(
        {Modality.TEXT: encoder},
        LateFusion({Modality.TEXT: 8}, np.array([0.5, 0.5], np.float32), softmax=True),
    )


def fit(
    network: RecipeNetwork, settings: Fit, seed: int = 0, wrong: bool = False, **changed: object
) -> Curves:
    made, targets = rows()
    if wrong:
        # The validation items say the opposite of what is learnt, so that learning makes them worse.
        targets[VALIDATION] = ~targets[VALIDATION]
    given = {
        "loss_of": categorical,
        "augment": lambda inputs, rng: dict(inputs),
        "progress": lambda *_: None,
        "begin": loop.adam,
        "to_beat": math.inf,
    }
    given |= changed
    return fit_network(
        network,
        made,
        targets,
        shuffled(TRAIN),
        VALIDATION,
        given["loss_of"],
        settings,
        given["augment"],
        seed,
        "cpu",
        given["progress"],
        given["begin"],
        given["to_beat"],
    )


def test_the_loop_learns_and_counts_its_batches():
    """The validation loss falls to less than half; progress counts every batch up to epochs x batches."""
    calls: list[tuple[int, int]] = []
    curves = fit(
        new_network(),
        Fit(epochs=12, patience_epochs=12, batch_items=8, rate=0.03),
        progress=lambda *done: calls.append(done),
    )
    assert curves.validation[-1] < 0.5 * curves.validation[0]
    assert curves.train[-1] < curves.train[0]
    assert calls == [*((done, 60) for done in range(1, 61)), (60, 60)]


def test_early_stopping_keeps_the_best_weights():
    """Where learning makes the validation items worse, the first epoch is the best; after three more training
    stops, and the network has that epoch's loss again, not the last one's."""
    network = new_network()
    curves = fit(network, Fit(epochs=50, patience_epochs=3, batch_items=8, rate=0.03), wrong=True)
    assert curves.best_epoch == 1
    assert len(curves.validation) == len(curves.train) == 4
    made, targets = rows()
    targets[VALIDATION] = ~targets[VALIDATION]
    found = mean_loss(network, made, targets, VALIDATION[:-1], categorical, Fit(batch_items=8), "cpu")
    assert found == pytest.approx(curves.validation[0], rel=1e-5)
    assert found < curves.validation[-1] - 0.1


def test_what_is_not_beaten_leaves_the_network_as_it_was():
    """An epoch's weights are kept only where its validation loss is below the one that was to be beaten; the
    steps are those that were asked for."""
    settings = Fit(epochs=4, patience_epochs=4, batch_items=8, rate=0.03)
    least = min(fit(new_network(), settings).validation)
    network = new_network()
    before = copy.deepcopy(network.state_dict())
    curves = fit(network, settings, to_beat=least)
    assert min(curves.validation) == least
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    fit(network, settings, to_beat=least + 1e-6)
    assert not all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    idle = new_network()
    stood = fit(idle, settings, begin=lambda network, fit: lambda loss: None)
    assert len(set(stood.validation)) == 1


def test_the_same_seed_gives_the_same_weights():
    """Bit for bit, dropout and order included; another seed gives others."""
    first, again, other = new_network(), new_network(), new_network()
    settings = Fit(epochs=2, batch_items=8)
    assert fit(first, settings, seed=3) == fit(again, settings, seed=3) != fit(other, settings, seed=4)
    same = zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    assert all(torch.equal(one, two) for one, two in same)


def test_a_loss_that_is_no_number_ends_the_training():
    """With the epoch, and what may help; on the validation items, too."""
    network = new_network()
    with torch.no_grad():
        network.head.classifiers[Modality.TEXT].bias[0] = float("nan")
    with pytest.raises(CollapsedError, match=r"the loss is nan in epoch 1: a rate below 0\.001 may help"):
        fit(network, Fit())

    def nothing_when_measured(shares: LogShares, wanted: torch.Tensor) -> torch.Tensor:
        return categorical(shares, wanted) * (1.0 if torch.is_grad_enabled() else float("nan"))

    with pytest.raises(CollapsedError, match="the validation loss is nan in epoch 1"):
        fit(new_network(), Fit(), loss_of=nothing_when_measured)


def test_items_with_nothing_to_hear_are_left_out():
    """The item without a text is not in the validation loss; where no item has any, that is an error."""
    network = new_network()
    made, targets = rows()
    curves = fit(network, Fit(epochs=1))
    expected = mean_loss(network, made, targets, VALIDATION[:-1], categorical, Fit(), "cpu")
    assert curves.validation[0] == pytest.approx(expected, rel=1e-6)
    empty = RecipeRows(made.kept, made.places, np.zeros_like(made.presence), 0)
    with pytest.raises(TrainingError, match="none of the items has anything that this network hears"):
        fit_network(
            network,
            empty,
            targets,
            shuffled(TRAIN),
            VALIDATION,
            categorical,
            Fit(),
            lambda inputs, rng: dict(inputs),
            0,
            "cpu",
        )


def test_modality_dropout_leaves_one_modality():
    """To about the share of the items that have several exactly one, each as often; an item keeps what it has
    if that is one."""
    presence = np.array([[1, 1, 0]] * 2000 + [[0, 1, 0]] * 50, np.float32)
    shown = loop._some_dropped(presence, 0.5, np.random.default_rng(0))
    several = shown[:2000]
    assert set(several.sum(axis=1)) == {1.0, 2.0}
    assert (several.sum(axis=1) == 1).mean() == pytest.approx(0.5, abs=0.05)
    assert several[several.sum(axis=1) == 1].mean(axis=0) == pytest.approx([0.5, 0.5, 0], abs=0.05)
    np.testing.assert_array_equal(shown[2000:], presence[2000:])


def test_batches_are_of_equal_size():
    """17 rows in batches of at most 8: 6, 6 and 5, so that none is too small to learn from."""
    assert [len(batch) for batch in in_batches(np.arange(17), 8)] == [6, 6, 5]


def test_a_batch_ends_where_its_longest_text_does():
    """Three tokens of eight are given to the network; an item without a text is zeros."""
    kept = np.zeros((2, 8), np.int32)
    kept[0, :3], kept[1, :1] = [2, 5, 6], [2]
    made = RecipeRows(
        {Modality.TEXT: kept}, {Modality.TEXT: np.array([1, -1, 0])}, np.ones((3, 3), np.float32), 0
    )
    batch = made.batch(np.array([0, 1, 2]), "cpu")[Modality.TEXT]
    assert batch.tolist() == [[2, 0, 0], [0, 0, 0], [2, 5, 6]]
    assert batch.dtype == torch.int64


def test_pictures_are_mirrored_and_turned_by_chance_alone():
    """Without a flip and a turn they are as they were; with a flip about half are mirrored and the rest as
    they were; turned by up to 45 degrees the middle stays where it is and the seed decides."""
    pictures = torch.randint(0, 256, (64, 9, 5, 3), dtype=torch.uint8)
    rng = np.random.default_rng(0)
    same = augmented(pictures, rng, flip=False, rotation_deg=0.0)
    torch.testing.assert_close(same, pictures.float(), atol=0.01, rtol=0)
    mirrored = augmented(pictures, rng, flip=True, rotation_deg=0.0)
    changed = [not torch.allclose(one, two, atol=0.01) for one, two in zip(mirrored, same, strict=True)]
    assert 16 < sum(changed) < 48
    for row, was in enumerate(changed):
        expected = same[row].flip(1) if was else same[row]
        torch.testing.assert_close(mirrored[row], expected, atol=0.01, rtol=0)
    turned = augmented(pictures, np.random.default_rng(5), flip=False, rotation_deg=45.0)
    torch.testing.assert_close(turned[:, 4, 2], same[:, 4, 2], atol=0.01, rtol=0)
    assert (turned - same).abs().mean() > 10
    torch.testing.assert_close(
        turned, augmented(pictures, np.random.default_rng(5), flip=False, rotation_deg=45.0)
    )


def test_a_turn_keeps_shapes():
    """45 degrees turn a line of a wide picture by as much, not by what the sides' ratio makes of it: along a
    line of slope 1 through the middle, all is bright."""
    pictures = torch.zeros((1, 41, 81, 3), dtype=torch.uint8)
    pictures[0, 19:22] = 255

    class _Always(np.random.Generator):
        def uniform(self, low, high, size):  # type: ignore[no-untyped-def]
            return np.full(size, high)

    turned = augmented(pictures, _Always(np.random.PCG64(0)), flip=False, rotation_deg=45.0)[0, :, :, 0]
    along = [[float(turned[20 + sign * step, 40 + step]) for step in range(-15, 16)] for sign in (1, -1)]
    assert sorted(min(line) > 150 for line in along) == [False, True]
