"""Transformers of Hugging Face to sentence encoders. Legend: b batch, t tokens, d embedding size."""

import hashlib
import json
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from genrestream.repository import TOKENIZER
from genrestream.schemas import TextFeatures
from genrestream.schemas.tensors import TOKEN_IDS
from genrestream.training.encoders.draft import Check, Draft, EncoderError, Progress
from genrestream.training.encoders.examples import Examples, spread, text_batch
from genrestream.training.encoders.onnx_export import dynamic_int8, export
from genrestream.training.encoders.parity import cosines, found_again, largest_difference, run_graph
from genrestream.training.encoders.pictures import MIN_FOUND_AGAIN, embed
from genrestream.training.encoders.text_windows import in_windows, longest_text, special_tokens
from genrestream.training.encoders.weights import DOWNLOAD_ERRORS, unavailable, without_notes

CHECKED_TEXTS = 32
MAX_FLOAT_DIFFERENCE = 1e-3
MIN_INT8_COSINE = 0.95


LAYERS = 3
"""The last layers that an embedding holds. The very last one is bent to what the network was trained
for. With two more, film screenings rise from .604 to .613 mean average precision and .530 to .548 macro-F1
(E5)."""


class SentenceEncoder(nn.Module):
    """int64 [b, t] to float32 [b, d] of length 1: each of the last layers' mean over what is not padding.

    d is three times the transformer's width, less if it has fewer layers; all parts have the same length.
    """

    def __init__(self, transformer: nn.Module, pad_id: int, *, token_types: bool) -> None:
        super().__init__()
        self.transformer = transformer
        self.pad_id = pad_id
        self.token_types = token_types

    def forward(self, token_ids: Tensor) -> Tensor:
        """The embeddings of a batch of texts."""
        mask = token_ids.ne(self.pad_id)
        more = {"token_type_ids": torch.zeros_like(token_ids)} if self.token_types else {}
        states = self.transformer(
            input_ids=token_ids, attention_mask=mask.to(torch.int64), output_hidden_states=True, **more
        ).hidden_states[1:][-LAYERS:]
        weights = mask.unsqueeze(-1).to(states[0].dtype)
        means = [(state * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1.0) for state in states]
        embedding: Tensor = torch.cat([functional.normalize(mean, dim=1) for mean in means], dim=1)
        return embedding / math.sqrt(len(means))


def load_sentence_encoder(name_or_path: str, *, local: bool) -> tuple[SentenceEncoder, bytes]:
    """The encoder and its tokenizer file, without truncation or padding, which serving does itself.

    Raises:
        EncoderError: the model or a fast tokenizer cannot be loaded.
    """
    from transformers import AutoModel, AutoTokenizer  # noqa: PLC0415 - two seconds to import

    without_notes()

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            transformer = AutoModel.from_pretrained(
                name_or_path, local_files_only=local, attn_implementation="eager", use_safetensors=True
            )
            tokenizer = AutoTokenizer.from_pretrained(name_or_path, local_files_only=local, use_fast=True)
    except DOWNLOAD_ERRORS as error:
        raise unavailable(name_or_path, error) from error
    if not getattr(tokenizer, "is_fast", False):
        raise EncoderError(f"{name_or_path} has no fast tokenizer (tokenizer.json)")
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    pad_id = tokenizer.pad_token_id
    if pad_id is None:
        raise EncoderError(f"the tokenizer of {name_or_path} has no padding token")
    token_types = getattr(transformer.config, "type_vocab_size", 0) > 0
    encoder = SentenceEncoder(transformer.eval(), pad_id, token_types=token_types)
    return encoder, canonical_json(backend.to_str())


def canonical_json(text: str) -> bytes:
    """The same JSON in the same bytes whatever wrote it."""
    return json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def build_sentence_encoder(
    encoder: SentenceEncoder,
    tokenizer: bytes,
    model: str,
    max_tokens: int,
    source: str,
    licence: str,
    examples: Examples,
    progress: Progress,
    more_checks: Sequence[Check] = (),
    min_found_again: float = MIN_FOUND_AGAIN,
) -> Draft:
    """The encoder exported, in eight bits where those keep its embeddings, with its checks.

    It takes `max_tokens` in one piece; longer texts are read in windows of so many.
    """
    features = features_with(tokenizer, max_tokens, encoder.pad_id)
    texts = spread(examples.texts, CHECKED_TEXTS)
    if not texts:
        raise EncoderError("no text to check the encoder with")
    progress("export to ONNX", 0, 3)
    ids = tokenise(texts, features, tokenizer)
    reference = embed(encoder, ids)
    graph = export(encoder, torch.from_numpy(ids[:2]), TOKEN_IDS, ("b", "t"))
    exported = run_graph(graph, {TOKEN_IDS: ids})
    checks = [
        Check("difference from torch", largest_difference(exported, reference), at_most=MAX_FLOAT_DIFFERENCE)
    ]
    # The longest texts leave no room: a transformer has as many positions as it has.
    roomy = ids[:, : features.max_tokens - features.bucket_tokens]
    padded = np.pad(roomy, ((0, 0), (0, features.bucket_tokens)), constant_values=features.pad_id)
    unpadded = run_graph(graph, {TOKEN_IDS: roomy})
    padding = largest_difference(run_graph(graph, {TOKEN_IDS: padded}), unpadded)
    checks.append(Check("difference with more padding", padding, at_most=MAX_FLOAT_DIFFERENCE))
    progress("weights to eight bits", 1, 3)
    int8 = dynamic_int8(graph)
    quantised = run_graph(int8, {TOKEN_IDS: ids})
    int8_cosine = float(cosines(quantised, reference).min())
    if int8_cosine >= MIN_INT8_COSINE:
        graph, exported = int8, quantised
        checks.append(Check("int8 cosine, least", int8_cosine, at_least=MIN_INT8_COSINE))
    progress("check", 2, 3)
    shortened = run_graph(graph, {TOKEN_IDS: tokenise([_half(text) for text in texts], features, tokenizer)})
    checks.append(
        Check("shortened texts found again", found_again(shortened, exported), at_least=min_found_again)
    )
    special = special_tokens(tokenizer)
    windowed = in_windows(graph, max_tokens, special, features.pad_id)
    as_before = largest_difference(run_graph(windowed, {TOKEN_IDS: ids}), exported)
    checks.append(Check("difference by windows", as_before, at_most=MAX_FLOAT_DIFFERENCE))
    progress("check", 3, 3)
    return Draft(
        model=model,
        features=features.model_copy(
            update={"max_tokens": longest_text(max_tokens, special, features.bucket_tokens)}
        ),
        embedding_dim=reference.shape[1],
        graph=windowed,
        source=source,
        licence=licence,
        checks=(*checks, *more_checks),
        beside={TOKENIZER: tokenizer},
    )


def features_with(tokenizer: bytes, max_tokens: int, pad_id: int) -> TextFeatures:
    """The feature specification of an encoder with this tokenizer file."""
    return TextFeatures(
        tokenizer=TOKENIZER,
        tokenizer_sha256=hashlib.sha256(tokenizer).hexdigest(),
        max_tokens=max_tokens,
        pad_id=pad_id,
    )


def tokenise(texts: Sequence[tuple[str, ...]], features: TextFeatures, tokenizer: bytes) -> NDArray[np.int64]:
    """The texts as int64 [b, t] through the same function as in serving."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / TOKENIZER
        path.write_bytes(tokenizer)
        return text_batch(texts, features, path)


def _half(fields: tuple[str, ...]) -> tuple[str, ...]:
    """The first half of the words."""
    words = " ".join(fields).split()
    return (" ".join(words[: max(1, len(words) // 2)]),)
