"""A tokenizer of plain words for a language model, as a file that workers load.

Words are runs of letters, digits and apostrophes in lower case without accents; nothing is left out, since
what stands between the telling words is what a language model learns from. Legend: t tokens.
"""

from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from genrestream.training.encoders.sentences import canonical_json
from genrestream.training.errors import TrainingError
from genrestream.training.recipes.words import PAD, START, UNKNOWN, Words
from genrestream.workers.features.text import clean_fields, join_fields


def plain_tokenizer(
    texts: Iterable[Sequence[str]], vocabulary: int, min_count: int, max_text_chars: int
) -> Words:
    """The tokenizer of the `vocabulary` words that stand most often in `texts`, the fields of an item each.

    Raises:
        TrainingError: no word stands `min_count` times in them.
    """
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\p{L}\p{N}']+"), "removed", invert=True)
    special = [PAD, UNKNOWN, START]
    trainer = trainers.WordLevelTrainer(
        vocab_size=vocabulary + len(special),
        min_frequency=min_count,
        special_tokens=special,
        show_progress=False,
    )
    cleaned = (join_fields(clean_fields(fields, max_text_chars)) for fields in texts)
    tokenizer.train_from_iterator(cleaned, trainer)
    ids = tokenizer.get_vocab_size()
    if ids == len(special):
        raise TrainingError(f"no word stands {min_count} times in the training items' texts")
    # Every text begins with one token, so that one without words has a token, too.
    start = tokenizer.token_to_id(START)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A", pair=f"{START} $A $B", special_tokens=[(START, start)]
    )
    return Words(canonical_json(tokenizer.to_str()), ids)
