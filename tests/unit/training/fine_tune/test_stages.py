"""What learns in which stage, what is kept of it, and what ends it; on texts and pictures made here."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from torch import nn  # noqa: E402

from genrestream.schemas import Modality  # noqa: E402
from genrestream.training.encoders.pictures import PictureEncoder  # noqa: E402
from genrestream.training.errors import TrainingError  # noqa: E402
from genrestream.training.fine_tune.items import TuneItems  # noqa: E402
from genrestream.training.fine_tune.linear import embed_items, fit_linear  # noqa: E402
from genrestream.training.fine_tune.settings import Blocks, TuneSettings  # noqa: E402
from genrestream.training.fine_tune.stages import Stage, tune_network  # noqa: E402
from genrestream.training.recipes.data import RecipeRows  # noqa: E402
from genrestream.training.recipes.loop import embed_rows, mean_loss  # noqa: E402
from genrestream.training.recipes.loss import binary  # noqa: E402
from genrestream.training.recipes.network import RecipeNetwork  # noqa: E402
from genrestream.training.recipes.spec import Fit  # noqa: E402
from tests.unit.training.fine_tune.made_items import (  # noqa: E402
    FOLDS,
    begun,
    example_of,
    made_encoder,
    made_texts,
)

SETTINGS = TuneSettings(epochs=8, patience_epochs=8, batch_items=4, rate=0.01)


def tune(
    network: RecipeNetwork,
    items: TuneItems,
    settings: TuneSettings = SETTINGS,
    seed: int = 0,
    steps: list[str] | None = None,
) -> tuple[Stage, ...]:
    def progress(step: str, done: int, total: int) -> None:
        if steps is not None:
            steps.append(f"{step} {done} of {total}")

    return tune_network(network, items, example_of(items), settings, seed, "cpu", progress)


def weights(network: RecipeNetwork) -> dict[str, bytes]:
    """The bytes of all weights and statistics, by name."""
    return {name: value.numpy().tobytes() for name, value in network.state_dict().items()}


def test_two_stages_learn_what_the_encoder_could_not_tell():
    """The encoder takes both labels' tokens for one, so that only its words' embeddings can tell them. Tuned,
    a linear layer is right where it was at chance, the network has the least of all validation losses, and
    progress counts the batches of both stages."""
    items, steps = made_texts(), []
    network = begun(items, made_encoder())
    before = fit_linear(embed_items(network, items, 16, "cpu"), items, seed=0).test
    stages = tune(network, items, steps=steps)
    after = fit_linear(embed_items(network, items, 16, "cpu"), items, seed=0).test
    assert [stage.name for stage in stages] == ["the last blocks", "all blocks"]
    assert stages[1].kept_epoch > 0
    assert before.mean_ap < 0.8
    assert after.mean_ap > 0.9
    assert after.mean_ap > before.mean_ap + 0.1
    least = min(loss for stage in stages for loss in stage.curves.validation)
    fit = Fit(batch_items=4)
    found = mean_loss(network, items.rows, items.has, items.validation, binary, fit, "cpu")
    assert found == pytest.approx(least, rel=1e-5)
    assert steps[0] == "tuning the last blocks 1 of 120"
    assert steps[-1] == "tuning all blocks 120 of 120"


def hearing(items: TuneItems) -> TuneItems:
    """The same with tokens 5 and 6 in the place of 3 and 4: those the encoder tells apart as it is."""
    ids = items.rows.kept[Modality.TEXT].copy()
    for label, token in ((0, 5), (1, 6)):
        ids[(ids == token)] = 7
        ids[ids == 3 + label] = token
    return replace(items, rows=replace(items.rows, kept={Modality.TEXT: ids}))


def test_the_last_blocks_leave_what_is_before_them_as_it_was():
    """Byte for byte, the embeddings and the first layer; the last layer and the head have learnt."""
    items = hearing(made_texts())
    network = begun(items, made_encoder())
    before = weights(network)
    (stage,) = tune(network, items, replace(SETTINGS, blocks=Blocks.LAST))
    assert stage.name == "the last blocks"
    changed = {name for name, value in weights(network).items() if value != before[name]}
    learnt = ("encoders.text.encoder.transformer.encoder.layer.1.", "head.branch.")
    assert all(name.startswith(learnt) for name in changed)
    assert any(name.startswith(learnt[0]) for name in changed)
    assert "head.branch.weight" in changed


def test_the_same_seed_gives_the_same_weights():
    """Bit for bit, with dropped tokens and the order of items; another seed gives others."""
    items = hearing(made_texts())
    brief = replace(SETTINGS, epochs=3)
    networks = [begun(items, made_encoder()) for _ in range(3)]
    for network, seed in zip(networks, (3, 3, 4), strict=True):
        tune(network, items, brief, seed)
    first, again, other = map(weights, networks)
    assert first == again
    assert first != other


def test_the_test_fold_is_not_looked_at():
    """Its texts hold tokens that the encoder does not have, so that looking at one would be an error."""
    items = hearing(made_texts())
    network = begun(items, made_encoder())
    items.rows.kept[Modality.TEXT][items.test] = 10**6
    with pytest.raises(IndexError):
        embed_rows(network, items.rows, items.test, 16, "cpu")
    tune(network, items, replace(SETTINGS, epochs=3))


def test_what_makes_nothing_better_is_an_error():
    """The validation items say the opposite of what is learnt; the network is as it was."""
    items = hearing(made_texts())
    network = begun(items, made_encoder())
    items.has[items.validation] = ~items.has[items.validation]
    before = weights(network)
    with pytest.raises(
        TrainingError, match=r"tuning made nothing better: .* another rate than 0\.01 may help"
    ):
        tune(network, items, replace(SETTINGS, epochs=2))
    assert weights(network) == before


def test_a_loss_that_is_no_number_ends_it():
    """A token that only training items have is no number: the epoch is told, and that a lower rate may help.
    One that validation items have shows before anything is learnt."""
    for rows_of, message in (
        ("train", r"the loss is nan in epoch 1: a rate below 0\.01 may help"),
        ("validation", "the untuned encoder's loss on the calibration fold is nan"),
    ):
        items = made_texts()
        network = begun(items, made_encoder())
        ids = items.rows.kept[Modality.TEXT]
        ids[getattr(items, rows_of), 1] = 19
        network.encoder(Modality.TEXT).encoder.transformer.embeddings.word_embeddings.weight.data[19] = np.nan
        with pytest.raises(TrainingError, match=message):
            tune(network, items)


class Colours(nn.Module):
    """Two convolutions with batch norms, and the mean over all places."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(given, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU()) for given in (3, 6)
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            pixels = block(pixels)
        return pixels.mean(dim=(2, 3))


def made_pictures() -> TuneItems:
    """Noise, brighter in red for one label and in blue for the other."""
    rng = np.random.default_rng(0)
    red = rng.integers(2, size=90).astype(bool)
    pictures = rng.integers(0, 160, (90, 16, 16, 3), dtype=np.uint8)
    pictures[red, :, :, 0] += 60
    pictures[~red, :, :, 2] += 60
    presence = np.zeros((90, 3), np.float32)
    presence[:, 1] = 1
    rows = RecipeRows({Modality.IMAGE: pictures}, {Modality.IMAGE: np.arange(90)}, presence, 0)
    return TuneItems.of(Modality.IMAGE, rows, np.stack([red, ~red], axis=1), FOLDS)


def test_pictures_are_tuned_and_batch_norms_keep_their_statistics():
    """A network that sees brightness alone learns to see colours; the running means and variances are those
    that it came with, byte for byte, though their scales have learnt."""
    items = made_pictures()
    torch.manual_seed(1)
    network = Colours()
    with torch.no_grad():
        first = network.blocks[0][0].weight
        first.copy_(first.mean(dim=1, keepdim=True).expand_as(first))
        for block in network.blocks:
            block[1].running_mean.uniform_(-0.1, 0.1)
    encoder = PictureEncoder(network, [127.5] * 3, [64.0] * 3)
    whole = begun(items, encoder)
    before = weights(whole)
    untuned = fit_linear(embed_items(whole, items, 16, "cpu"), items, seed=0).test
    tune(whole, items)
    after = weights(whole)
    kept = {name for name in before if "running" in name or "batches" in name}
    assert len(kept) == 6
    assert all(after[name] == before[name] for name in kept)
    scales = {name for name in before if name.endswith(".1.weight")}
    assert len(scales) == 2
    assert all(after[name] != before[name] for name in scales)
    tuned = fit_linear(embed_items(whole, items, 16, "cpu"), items, seed=0).test
    assert tuned.mean_ap > untuned.mean_ap + 0.1
