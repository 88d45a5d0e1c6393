"""Trains a small network and writes down its weights and losses; several processes of this share the work.

`python sharing.py FOLDER` writes `FOLDER/RANK.pt`. Texts and pictures say the label; some items lack either.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from genrestream.schemas import Modality
from genrestream.training.launch import launched
from genrestream.training.processes import joined
from genrestream.training.recipes.data import RecipeRows
from genrestream.training.recipes.gru import GruEncoder
from genrestream.training.recipes.loop import Curves, fit_network, shuffled
from genrestream.training.recipes.loss import categorical
from genrestream.training.recipes.network import LateFusion, RecipeNetwork
from genrestream.training.recipes.spec import Fit, Gru

ITEMS = 90
TRAIN, VALIDATION = np.arange(65), np.arange(65, ITEMS)


class Pixels(nn.Module):
    """A linear layer on pictures of two pixels, uint8 [b, 2]."""

    embedding_dim = 4

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, self.embedding_dim)

    def forward(self, pictures: Tensor) -> Tensor:
        """[b, 4]"""
        found: Tensor = self.linear(pictures / 255)
        return found


def made_rows() -> tuple[RecipeRows, np.ndarray]:
    """A word and a pixel say the label; every third item has no text, every fourth no picture."""
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=ITEMS)
    words = np.stack([np.full(ITEMS, 2), 3 + label, rng.integers(5, 20, ITEMS)], axis=1).astype(np.int32)
    pixels = np.stack([255 * label, rng.integers(256, size=ITEMS)], axis=1).astype(np.uint8)
    row = np.arange(ITEMS)
    places = {
        Modality.TEXT: np.where(row % 3 == 0, -1, row),
        Modality.IMAGE: np.where(row % 4 == 1, -1, row),
    }
    presence = np.zeros((ITEMS, 3), np.float32)
    presence[:, 0], presence[:, 1] = places[Modality.TEXT] >= 0, places[Modality.IMAGE] >= 0
    targets = np.stack([label == 0, label == 1], axis=1)
    return RecipeRows({Modality.TEXT: words, Modality.IMAGE: pixels}, places, presence, 0), targets


def fit(batch_items: int = 16) -> tuple[RecipeNetwork, Curves]:
    """The network after four epochs."""
    torch.manual_seed(0)
    encoders = {
        Modality.TEXT: GruEncoder(Gru(network="gru", word_dim=8, hidden=8, dropout=0.0), ids=20),
        Modality.IMAGE: Pixels(),
    }
    dims = {Modality.TEXT: 8, Modality.IMAGE: 4}
    network = RecipeNetwork(encoders, LateFusion(dims, np.array([0.5, 0.5], np.float32), softmax=True))
    rows, targets = made_rows()
    curves = fit_network(
        network,
        rows,
        targets,
        shuffled(TRAIN),
        VALIDATION,
        categorical,
        Fit(epochs=4, patience_epochs=4, batch_items=batch_items, rate=0.02, modality_dropout=0.3),
        lambda inputs, rng: dict(inputs),
        0,
        "cpu",
    )
    return network, curves


def main() -> None:
    """Fit, together with who else was launched."""
    with joined("cpu"):
        network, curves = fit()
    found = {"weights": network.state_dict(), "train": curves.train, "validation": curves.validation}
    torch.save(found, Path(sys.argv[1]) / f"{launched().rank}.pt")


if __name__ == "__main__":
    main()
