"""Small encoders with random weights that cannot tell the made set's genres, and can learn to."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
    ResNetConfig,
    ResNetModel,
    ViTImageProcessor,
)

from tests.unit.training.made_set import GENRES, NOISE

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]

COLOURS = {
    genre: (words, tuple((40, 80, 200)[place - turn] for place in range(3)))
    for turn, (genre, (words, _)) in enumerate(GENRES.items())
}
"""The genres with covers that are equally bright: the same three levels, by turns."""


def deaf_bert(folder: Path) -> Path:
    """A two-layer BERT as a local model, to which all words of the genres are one word."""
    torch.manual_seed(4)
    own = [word for words, _ in GENRES.values() for word in words.split()]
    pieces = dict.fromkeys([*SPECIAL, *own, *NOISE.split(), "Somebody"])
    ids = {piece: place for place, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))  # noqa: S106 - a piece's name
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    model = BertModel(small_bert(len(ids)))
    heard = model.embeddings.word_embeddings.weight.data
    heard[[ids[word] for word in own]] = heard[ids[own[0]]].clone()
    model.save_pretrained(folder)
    return folder


def small_bert(vocabulary: int) -> BertConfig:
    """Two layers of 16 units on at most 32 tokens."""
    return BertConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )


def colour_blind_resnet(folder: Path) -> Path:
    """A small ResNet of Hugging Face as a local model, whose first filters see brightness alone."""
    torch.manual_seed(4)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic")
    model = ResNetModel(config)
    filters = model.embedder.embedder.convolution.weight.data
    filters[:] = filters.mean(dim=1, keepdim=True)
    model.save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder
