"""The language model's words, as workers read them."""

import hashlib
import json

import pytest

from genrestream.schemas.features import TextFeatures
from genrestream.workers.features.text import token_ids

pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.errors import TrainingError  # noqa: E402
from genrestream.training.recipes.plain_words import plain_tokenizer  # noqa: E402
from genrestream.training.recipes.words import PAD, PAD_ID, START_ID, UNKNOWN_ID  # noqa: E402

TEXTS = [("The river", "I don't know the river, I don't"), ("Été", "The été of the river")]


def test_workers_read_what_was_made(tmp_path):
    """Every word that stands twice is there, stop-words and apostrophes too, in lower case and without
    accents; others are unknown; each text begins with the start, and id 0 is padding alone."""
    words = plain_tokenizer(TEXTS, vocabulary=50, min_count=2, max_text_chars=1000)
    path = tmp_path / "tokenizer.json"
    path.write_bytes(words.file)
    features = TextFeatures(
        tokenizer=path.name, tokenizer_sha256=hashlib.sha256(words.file).hexdigest(), max_tokens=16
    )
    ids = json.loads(words.file)["model"]["vocab"]
    assert ids.keys() - {"[pad]", "[unknown]", "[start]"} == {"the", "river", "i", "don't", "ete"}
    assert ids[PAD] == PAD_ID
    assert words.ids == len(ids)
    found = token_ids(("THE été river's bank",), features, str(path)).tolist()
    assert found == [START_ID, ids["the"], ids["ete"], UNKNOWN_ID, UNKNOWN_ID]


def test_the_most_frequent_words_are_kept_and_the_file_is_always_the_same():
    """Of equal counts those first in the alphabet, whatever the order of the texts."""
    words = plain_tokenizer(TEXTS, vocabulary=3, min_count=1, max_text_chars=1000)
    kept = json.loads(words.file)["model"]["vocab"].keys() - {"[pad]", "[unknown]", "[start]"}
    assert kept == {"the", "river", "don't"}
    assert words.file == plain_tokenizer(TEXTS[::-1], 3, 1, 1000).file


def test_texts_without_words_are_refused():
    """A vocabulary of nothing would make every text alike."""
    with pytest.raises(TrainingError, match="no word stands 4 times in the training items' texts"):
        plain_tokenizer([("one", "two")], vocabulary=10, min_count=4, max_text_chars=1000)
