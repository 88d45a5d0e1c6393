"""Rows for fine-tuning made in memory: texts of token ids, and a small BERT to be tuned on them."""

import numpy as np
import torch
from torch import nn
from transformers import BertModel

from genrestream.schemas import Modality
from genrestream.training.encoders.sentences import SentenceEncoder
from genrestream.training.fine_tune.items import TuneItems
from genrestream.training.fine_tune.network import LinearHead, new_network
from genrestream.training.head_rows import mean_and_deviation
from genrestream.training.heads import EmbeddingBranch, prior_logits
from genrestream.training.recipes.data import RecipeRows
from genrestream.training.recipes.loop import embed_rows
from genrestream.training.recipes.network import RecipeNetwork
from genrestream.training.split import Fold, Split
from tests.unit.training.fine_tune.made_models import small_bert

ITEMS, TOKENS = 90, 20
FOLDS = Split(
    {Fold.TRAIN: np.arange(60), Fold.CALIBRATION: np.arange(60, 75), Fold.TEST: np.arange(75, ITEMS)}
)


def made_texts() -> TuneItems:
    """Texts of 5 to 8 tokens, one of which says the label: 3 or 4. The others, 5 to 18, say nothing."""
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=ITEMS)
    ids = rng.integers(5, TOKENS - 1, (ITEMS, 8)).astype(np.int32)
    ids[np.arange(ITEMS), rng.integers(5, size=ITEMS)] = 3 + label
    ids[np.arange(8)[None, :] >= rng.integers(5, 9, ITEMS)[:, None]] = 0
    presence = np.zeros((ITEMS, 3), np.float32)
    presence[:, 0] = 1
    rows = RecipeRows({Modality.TEXT: ids}, {Modality.TEXT: np.arange(ITEMS)}, presence, 0)
    has = np.stack([label == 0, label == 1], axis=1)
    return TuneItems.of(Modality.TEXT, rows, has, FOLDS)


def made_encoder() -> SentenceEncoder:
    """The same random weights each time; tokens 3 and 4 are one to it."""
    torch.manual_seed(0)
    transformer = BertModel(small_bert(TOKENS))
    words = transformer.embeddings.word_embeddings.weight.data
    words[4] = words[3].clone()
    return SentenceEncoder(transformer.eval(), pad_id=0, token_types=True)


def example_of(items: TuneItems) -> torch.Tensor:
    """Two items' feature tensors."""
    return items.rows.batch(items.train[:2], "cpu")[items.modality]


def begun(items: TuneItems, encoder: nn.Module) -> RecipeNetwork:
    """The encoder under a linear head that knows how its embeddings spread, and says the prior of all."""
    has = items.has[items.train]
    network = new_network(encoder, items.modality, example_of(items), has, "cpu")
    embedded = embed_rows(network, items.rows, items.train, 16, "cpu").embeddings[items.modality]
    branch = EmbeddingBranch(*mean_and_deviation(embedded, items.train), prior_logits(has))
    network.head = LinearHead(items.modality, branch)
    return network
