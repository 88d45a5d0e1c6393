"""Texts to token ids for a text encoder.

Legend: t tokens.
"""

import hashlib
import html
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from genrestream.schemas.features import TextFeatures
from genrestream.workers.features.errors import FeatureSetupError

# Markup and escapes make raw text longer than what is read of it; beyond this factor it is not looked at.
_RAW_CHARS_PER_CLEAN = 4
# Word pieces are 4.5 characters in English and fewer in most scripts: what lies beyond 12 a token is
# cut away by the token limit anyway, and tokenising it is what a long text would cost.
_CHARS_PER_TOKEN = 12

_HIDDEN_ELEMENT = re.compile(r"<(script|style)\b[^<>]*>[^<]*</\1\s*>", re.IGNORECASE)
# A letter, slash or exclamation mark must follow, so that "I <3 you" and "a < b" stay.
_TAG = re.compile(r"<[A-Za-z/!][^<>]*>")
_SENTENCE_END = (".", "!", "?", ":", ";", "…", "。")
# Sets without repetition: Python's engine looks for them ten times faster than for runs.
# C0 and C1 controls separate; lone surrogates cannot be encoded.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# Soft hyphen, zero-width space, marks of direction, word joiner, byte order mark: inside words, unseen.
_INVISIBLE = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")

# Of a character's number the first 8 digits that count: all that have more than 7 lie beyond Unicode, and
# Python refuses to convert 4,301.
_CHARACTER_NUMBER = re.compile(r"&#0*([0-9]{1,8})[0-9]*")

# Characters that attach to the one before, by themselves or as what NFKC takes them apart into.
COMBINING = "".join(
    chr(code)
    for code in range(0x0300, 0x1F000)
    if unicodedata.combining(unicodedata.normalize("NFKD", chr(code))[0])
)
# Normalising sorts each run of combining marks, in quadratic time: 80,000 of them took 6 s. No language
# needs more than 30 (UAX #15, stream-safe text format); what is beyond them is decoration.
MAX_COMBINING = 30
_STACKED = re.compile(f"([{COMBINING}]{{{MAX_COMBINING}}})[{COMBINING}]+")
# The four stretches of Unicode that hold them all: looked for in 2 us, where the 187 ranges above take 80.
MAY_COMBINE = re.compile("[\u0300-\u1fff\u20d0-\u20ff\u2c00-\u30ff\ua000-\U0001efff]")


def clean_fields(fields: Iterable[str], max_chars: int) -> tuple[str, ...]:
    """The fields as plain text of at most `max_chars` characters in all; blank ones are left out.

    HTML entities are resolved and tags removed, NFKC applied, control and invisible characters
    removed, white space collapsed, combining marks beyond 30 on one character left out.
    """
    cleaned = []
    remaining = max_chars
    for field in fields:
        text = _clean(field[: _RAW_CHARS_PER_CLEAN * max_chars])[:remaining].rstrip()
        if text:
            cleaned.append(text)
            remaining -= len(text)
        if remaining <= 0:
            break
    return tuple(cleaned)


def _clean(text: str) -> str:
    if "&" in text:
        text = html.unescape(_CHARACTER_NUMBER.sub(r"&#\1", text))
    if "<" in text:
        text = _TAG.sub(" ", _HIDDEN_ELEMENT.sub(" ", text))
    if not text.isascii():
        text = _INVISIBLE.sub("", unicodedata.normalize("NFKC", _unstacked(text)))
        # Invisible characters stood between runs that are one now.
        text = _unstacked(text)
    return " ".join(_CONTROL.sub(" ", text).split())


def _unstacked(text: str) -> str:
    return _STACKED.sub(r"\1", text) if MAY_COMBINE.search(text) else text


def join_fields(fields: Iterable[str]) -> str:
    """One text for the encoder: each field a sentence."""
    return " ".join(field if field.endswith(_SENTENCE_END) else f"{field}." for field in fields)


def token_ids(fields: tuple[str, ...], spec: TextFeatures, tokenizer_path: str) -> NDArray[np.int64]:
    """The token ids of cleaned fields, int64 [t] with t from 1 to `max_tokens`, without padding.

    Special tokens are added as the tokenizer file says. Raises FeatureSetupError when the file is
    unreadable or not the one that the specification names.
    """
    tokenizer = _tokenizer(tokenizer_path, spec.tokenizer_sha256, spec.max_tokens)
    text = join_fields(fields)[: _CHARS_PER_TOKEN * spec.max_tokens]
    return np.array(tokenizer.encode(text).ids, dtype=np.int64)


@lru_cache(maxsize=8)
def _tokenizer(path: str, sha256: str, max_tokens: int) -> Tokenizer:
    """Load a tokenizer once a process; 8 are more than a kind's live and shadow releases need."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise FeatureSetupError(f"tokenizer {path} cannot be read: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise FeatureSetupError(f"tokenizer {path} has SHA-256 {found}, the release names {sha256}")
    try:
        tokenizer = Tokenizer.from_buffer(content)
    except ValueError as error:
        raise FeatureSetupError(
            f"tokenizer {path} is not one of Hugging Face's tokenizers: {error}"
        ) from error
    tokenizer.enable_truncation(max_length=max_tokens)
    tokenizer.no_padding()
    return tokenizer
