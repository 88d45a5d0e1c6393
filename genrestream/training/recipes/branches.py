"""A recipe's branches: which features each asks for, and its network."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import nn

from genrestream.repository import TOKENIZER
from genrestream.schemas.features import (
    AudioFeatures,
    FeatureSpec,
    ImageFeatures,
    PictureTextFeatures,
    TextFeatures,
)
from genrestream.schemas.items import Modality, text_fields_of
from genrestream.training.catalogue import Example
from genrestream.training.recipes.audio_lyrics import LogMelEncoder, LyricsEncoder, log_mel_features
from genrestream.training.recipes.concatenation import Concatenation
from genrestream.training.recipes.gru import GruEncoder
from genrestream.training.recipes.mfcc_cnn import MfccEncoder, glorot, mfcc_features
from genrestream.training.recipes.network import FusedHead, LateFusion
from genrestream.training.recipes.plain_words import plain_tokenizer
from genrestream.training.recipes.spec import Branch, Gru, RecipeSpec, Vgg16
from genrestream.training.recipes.spec_audio import ElmoLstm, LogMelCnn, MfccCnn
from genrestream.training.recipes.vgg16 import Vgg16Encoder, load_weights
from genrestream.training.recipes.words import PAD_ID, Words, word_tokenizer


@dataclass(frozen=True, slots=True)
class BranchFeatures:
    """What a branch's encoder is fed with."""

    features: ImageFeatures | TextFeatures | AudioFeatures
    beside: Mapping[str, bytes] = field(default_factory=dict)
    """Files beside the encoder's graph, such as the tokenizer."""
    ids: int = 0
    """Token ids that a text can have; 0 of other modalities."""


def features_by_modality(
    branches: Mapping[Modality, Branch],
    examples: Sequence[Example],
    train: NDArray[np.int64],
    max_text_chars: int,
) -> dict[Modality, BranchFeatures]:
    """The features of each branch; the training items are read one by one, where a vocabulary is made.

    Raises:
        TrainingError: their texts make no vocabulary.
    """

    def texts() -> Iterator[Sequence[str]]:
        for row in train:
            yield text_fields_of(examples[row].item)

    return {
        modality: branch_features(branch, texts(), max_text_chars) for modality, branch in branches.items()
    }


def branch_features(branch: Branch, texts: Iterable[Sequence[str]], max_text_chars: int) -> BranchFeatures:
    """The features of a branch; `texts` are the training items' fields, from which a vocabulary is made.

    Raises:
        TrainingError: the texts make no vocabulary.
    """
    match branch:
        case Vgg16():
            return BranchFeatures(ImageFeatures(height_px=branch.image_px, width_px=branch.image_px))
        case Gru():
            return _text_features(word_tokenizer(texts, branch, max_text_chars), branch.max_tokens)
        case ElmoLstm():
            words = plain_tokenizer(texts, branch.vocabulary, branch.min_count, max_text_chars)
            return _text_features(words, branch.max_tokens)
        case MfccCnn():
            return BranchFeatures(mfcc_features(branch))
        case LogMelCnn():
            return BranchFeatures(log_mel_features(branch))


def new_encoder(branch: Branch, features: BranchFeatures) -> nn.Module:
    """The untrained encoder of a branch, with the weights that it names.

    Raises:
        TrainingError: the weights cannot be had, or do not fit.
    """
    match branch:
        case Vgg16():
            encoder = Vgg16Encoder(branch)
            load_weights(encoder, branch)
            return encoder
        case Gru():
            return GruEncoder(branch, features.ids)
        case ElmoLstm():
            return LyricsEncoder(branch, features.ids)
        case MfccCnn():
            return MfccEncoder(branch)
        case LogMelCnn():
            return LogMelEncoder(branch)


def new_head(spec: RecipeSpec, dims: Mapping[Modality, int], prior: NDArray[np.float32]) -> FusedHead:
    """The untrained head over embeddings of the sizes `dims`; `prior` [l] are the labels' shares."""
    head: FusedHead
    match spec.fusion:
        case "late":
            head = LateFusion(dims, prior, softmax=spec.labels == "softmax")
        case "concatenated":
            head = Concatenation(dims, prior)
    return head if spec.prior_bias else head.apply(glorot)


def _text_features(words: Words, max_tokens: int) -> BranchFeatures:
    features = TextFeatures(
        tokenizer=TOKENIZER,
        tokenizer_sha256=hashlib.sha256(words.file).hexdigest(),
        max_tokens=max_tokens,
        pad_id=PAD_ID,
    )
    return BranchFeatures(features, {TOKENIZER: words.file}, words.ids)


def feature_spec(
    features: Mapping[Modality, BranchFeatures], picture_text: PictureTextFeatures | None = None
) -> FeatureSpec:
    """All that the recipe asks for, as a release states it."""
    by_modality = {modality: found.features for modality, found in features.items()}
    text, image, audio = (by_modality.get(modality) for modality in Modality)
    return FeatureSpec(
        text=text if isinstance(text, TextFeatures) else None,
        image=image if isinstance(image, ImageFeatures) else None,
        audio=audio if isinstance(audio, AudioFeatures) else None,
        picture_text=picture_text,
    )
