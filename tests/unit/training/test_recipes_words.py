"""The recipes' tokenizer: the file that workers load, made of training texts."""

import hashlib
from pathlib import Path

import pytest

from genrestream.schemas import TextFeatures
from genrestream.training.errors import TrainingError
from genrestream.workers.features.text import clean_fields, token_ids

pytest.importorskip("simplemma")
pytestmark = pytest.mark.training

from genrestream.training.recipes.spec import Gru  # noqa: E402
from genrestream.training.recipes.words import START_ID, UNKNOWN_ID, Words, word_tokenizer  # noqa: E402

TEXTS = [("The children are running", "A café by the sea."), ("A child runs; children ran.", "Cafés!")]


def spec(**changed: object) -> Gru:
    return Gru.model_validate({"network": "gru", "min_count": 1, "vocabulary": 10, **changed})


def ids(words: Words, folder: Path, *fields: str) -> list[int]:
    """As a worker makes them, through the file."""
    path = folder / "tokenizer.json"
    path.write_bytes(words.file)
    sha256 = hashlib.sha256(words.file).hexdigest()
    features = TextFeatures(tokenizer=path.name, tokenizer_sha256=sha256, max_tokens=16)
    return [int(found) for found in token_ids(clean_fields(fields, 1000), features, str(path))]


def test_forms_of_a_word_are_one_token(tmp_path):
    """`children` is `child`, `running`, `runs` and `ran` are `run`, `Cafés` is `cafe`; stop-words are none.
    The most frequent lemma has the first id after the three of no word: child 3, run 3, cafe 2, sea 1."""
    words = word_tokenizer(TEXTS, spec(), 1000)
    assert words.ids == 3 + 4
    child, run = (ids(words, tmp_path, form)[1] for form in ("child", "run"))
    assert {child, run} == {3, 4}
    assert ids(words, tmp_path, "The children are RUNNING by a sea, the Cafés") == [2, child, run, 6, 5]


def test_unknown_words_and_texts_of_stop_words(tmp_path):
    """A word that training did not show is unknown; a text of stop-words alone has the one token that every
    text begins with."""
    words = word_tokenizer(TEXTS, spec(), 1000)
    assert ids(words, tmp_path, "submarine") == [START_ID, UNKNOWN_ID]
    assert ids(words, tmp_path, "to be or not to be") == [START_ID]


def test_the_vocabulary_is_bounded_and_deterministic():
    """Rare lemmas are left out, then the least frequent; the same texts give the same bytes; texts without
    anything frequent enough are an error."""
    texts = [(f"w{rank} " * (30 - rank),) for rank in range(20)]
    assert word_tokenizer(texts, spec(), 1000).ids == 3 + 10
    assert word_tokenizer(texts, spec(min_count=25), 1000).ids == 3 + 6
    assert word_tokenizer(texts, spec(), 1000).file == word_tokenizer(list(texts), spec(), 1000).file
    with pytest.raises(TrainingError, match="no word stands 31 times in the training items' texts"):
        word_tokenizer(texts, spec(min_count=31), 1000)
