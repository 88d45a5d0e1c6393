"""A tokenizer of words, as a file that workers load: no stop-words, and all forms of a word are one token.

Words are runs of letters and digits in lower case without accents. A form has the id of its lemma, so the
file needs no dictionary when it is read. The vocabulary is the training items' alone.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import simplemma
from tokenizers import Tokenizer

from genrestream.training.errors import TrainingError
from genrestream.training.recipes.spec import Gru
from genrestream.training.recipes.stop_words import ENGLISH
from genrestream.workers.features.text import clean_fields, join_fields

PAD_ID, UNKNOWN_ID, START_ID = range(3)
PAD, UNKNOWN, START = "[pad]", "[unknown]", "[start]"
"""Brackets are no word's characters, so no word can be one of these."""


@dataclass(frozen=True, slots=True)
class Words:
    """The tokenizer's file, and how many ids it gives."""

    file: bytes
    ids: int


def word_tokenizer(texts: Iterable[Sequence[str]], spec: Gru, max_text_chars: int) -> Words:
    """The tokenizer whose vocabulary the `texts` make, the fields of an item each.

    Raises:
        TrainingError: no lemma stands `min_count` times in them.
    """
    empty = Tokenizer.from_str(_as_json({}))
    forms: Counter[str] = Counter()
    for fields in texts:
        text = empty.normalizer.normalize_str(join_fields(clean_fields(fields, max_text_chars)))
        forms.update(word for word, _ in empty.pre_tokenizer.pre_tokenize_str(text))
    lemmas: Counter[str] = Counter()
    for form, count in forms.items():
        lemmas[_lemma(form, spec.language)] += count
    ranked = sorted(lemmas, key=lambda lemma: (-lemmas[lemma], lemma))
    kept = [lemma for lemma in ranked if lemmas[lemma] >= spec.min_count][: spec.vocabulary]
    if not kept:
        raise TrainingError(f"no word stands {spec.min_count} times in the training items' texts")
    ids = {lemma: START_ID + 1 + rank for rank, lemma in enumerate(kept)}
    of_forms = {form: ids[lemma] for form in sorted(forms) if (lemma := _lemma(form, spec.language)) in ids}
    # A lemma that is itself no form seen in training is one that an item to come may use.
    return Words(_as_json(ids | of_forms).encode() + b"\n", START_ID + 1 + len(kept))


@lru_cache(maxsize=1 << 18)
def _lemma(form: str, language: str) -> str:
    return str(simplemma.lemmatize(form, lang=language)).lower()


def _as_json(ids: dict[str, int]) -> str:
    """The file of Hugging Face's tokenizers, written out: their own writer keeps one word an id only."""
    stop_words = "|".join(ENGLISH)
    start = {"SpecialToken": {"id": START, "type_id": 0}}
    steps: list[dict[str, Any]] = [
        {"type": "NFD"},
        {"type": "Lowercase"},
        {"type": "StripAccents"},
        {"type": "Replace", "pattern": {"Regex": rf"\b(?:{stop_words})\b"}, "content": " "},
    ]
    return json.dumps(
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [],
            "normalizer": {"type": "Sequence", "normalizers": steps},
            "pre_tokenizer": {
                "type": "Split",
                "pattern": {"Regex": r"[\p{L}\p{N}]+"},
                "behavior": "Removed",
                "invert": True,
            },
            # Every text begins with one token, so that one of stop-words alone has a token, too.
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [start, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [
                    start,
                    {"Sequence": {"id": "A", "type_id": 0}},
                    {"Sequence": {"id": "B", "type_id": 0}},
                ],
                "special_tokens": {START: {"id": START, "ids": [START_ID], "tokens": [START]}},
            },
            "decoder": None,
            "model": {
                "type": "WordLevel",
                "vocab": {PAD: PAD_ID, UNKNOWN: UNKNOWN_ID, START: START_ID, **ids},
                "unk_token": UNKNOWN,
            },
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )
