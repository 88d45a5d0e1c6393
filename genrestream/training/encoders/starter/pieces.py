"""The starter's tokenizer: byte pairs, so that every text in every script gives tokens."""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from genrestream.training.encoders.sentences import canonical_json

PADDING = "[PAD]"
VOCABULARY = 2048


def train_tokenizer(texts: Iterable[str], vocabulary: int = VOCABULARY) -> bytes:
    """A tokenizer file with id 0 for padding; 256 of its pieces are the bytes that everything is made of."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PADDING],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=3,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return canonical_json(tokenizer.to_str())
