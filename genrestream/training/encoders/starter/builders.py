"""Building the starter encoders: features of the sample, training, export, checks.

Legend: b batch, h height, w width, t tokens, p patches, f frames, m mel bands.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from genrestream.repository import TOKENIZER
from genrestream.schemas import AudioFeatures, ImageFeatures, Modality
from genrestream.schemas.items import text_fields_of
from genrestream.schemas.tensors import IMAGE, TOKEN_IDS
from genrestream.training.encoders.build import Builder
from genrestream.training.encoders.draft import Check, Draft, Progress
from genrestream.training.encoders.examples import Examples
from genrestream.training.encoders.onnx_export import export
from genrestream.training.encoders.parity import largest_difference, run_graph
from genrestream.training.encoders.patches import PatchEncoder, build_patch_encoder
from genrestream.training.encoders.picture_graph import PIXELS, over_pictures
from genrestream.training.encoders.pictures import PictureEncoder, embed
from genrestream.training.encoders.sentences import features_with
from genrestream.training.encoders.starter.fit import Fit, Rows, fit
from genrestream.training.encoders.starter.labelled import Labelled, feature_tensors, read_labelled
from genrestream.training.encoders.starter.networks import (
    PIXEL_MEAN,
    PIXEL_SCALE,
    StarterImage,
    StarterPatch,
    StarterText,
)
from genrestream.training.encoders.starter.pieces import train_tokenizer
from genrestream.workers.features.batches import pad_tokens, padded_length
from genrestream.workers.features.text import clean_fields, join_fields

IMAGE_FEATURES = ImageFeatures(height_px=240, width_px=160, resize="bilinear")
AUDIO_FEATURES = AudioFeatures()
MAX_TOKENS = 192
BUCKET_TOKENS = 64
"""Padding costs this encoder less than one more request does."""
MAX_TEXT_CHARS = 20_000

IMAGE_DIM, TEXT_DIM, AUDIO_DIM = 128, 96, 64
IMAGE_EPOCHS, TEXT_EPOCHS, AUDIO_EPOCHS = 14, 40, 16
MAX_SHIFT_PX = 8
MAX_DIFFERENCE = 1e-4
CHECKED_ITEMS = 24
MIN_GAIN = 2.0
"""Mean average precision on groups held out, over that of a constant answer."""

SOURCE = "trained on the generated sample"
LICENCE = "the project's own"


def starter_builders(folders: Sequence[Path], seed: int) -> Sequence[Builder]:
    """The builders of the three starter encoders from the sample's sets of events, podcasts and tracks."""
    return [partial(build, folders, seed) for build in (build_image, build_text, build_audio)]


def build_image(folders: Sequence[Path], seed: int, _: Examples, progress: Progress) -> Draft:
    """`image-starter`: posters and covers of all kinds."""
    torch.manual_seed(seed)
    labelled = read_labelled(folders, Modality.IMAGE, seed)
    pictures = np.stack(feature_tensors(labelled, IMAGE_FEATURES, Modality.IMAGE, progress))
    mean, std = [PIXEL_MEAN] * 3, [PIXEL_SCALE] * 3
    encoder = PictureEncoder(StarterImage(IMAGE_DIM), mean, std)

    def batch_of(rows: Rows, generator: torch.Generator | None) -> Tensor:
        chosen = torch.from_numpy(pictures[rows])
        return chosen if generator is None else _varied_pictures(chosen, generator)

    fitted = fit(encoder, IMAGE_DIM, batch_of, labelled, IMAGE_EPOCHS, seed, progress)
    pixels = encoder.normalised(torch.from_numpy(pictures[:2]))
    graph = over_pictures(export(encoder.network, pixels, PIXELS, ("b",)), IMAGE_FEATURES, mean, std)
    checked = pictures[labelled.held_out][:CHECKED_ITEMS]
    checks = (_parity(graph, IMAGE, checked, embed(encoder, checked)), _gain(fitted))
    return Draft("image-starter", IMAGE_FEATURES, IMAGE_DIM, graph, SOURCE, LICENCE, checks)


def build_text(folders: Sequence[Path], seed: int, _: Examples, progress: Progress) -> Draft:
    """`text-starter`: titles, descriptions and lyrics of all kinds."""
    torch.manual_seed(seed)
    labelled = read_labelled(folders, Modality.TEXT, seed)
    progress("train the tokenizer", 0, 1)
    tokenizer = train_tokenizer(_texts(labelled))
    features = features_with(tokenizer, MAX_TOKENS, pad_id=0).model_copy(
        update={"bucket_tokens": BUCKET_TOKENS}
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / TOKENIZER
        path.write_bytes(tokenizer)
        tokens = feature_tensors(labelled, features, Modality.TEXT, progress, path)
    words = StarterText(Tokenizer.from_buffer(tokenizer).get_vocab_size(), features.pad_id, TEXT_DIM)

    def batch_of(rows: Rows, generator: torch.Generator | None) -> Tensor:
        chosen = [tokens[row] for row in rows]
        length = padded_length(max(map(len, chosen)), features.bucket_tokens)
        ids = torch.from_numpy(pad_tokens(chosen, length, features.pad_id))
        return ids if generator is None else _without_some(ids, features.pad_id, generator)

    fitted = fit(words, TEXT_DIM, batch_of, labelled, TEXT_EPOCHS, seed, progress)
    checked = batch_of(np.arange(min(CHECKED_ITEMS, len(tokens))), None).numpy()
    graph = export(words, torch.from_numpy(checked[:2]), TOKEN_IDS, ("b", "t"))
    padded = np.pad(checked, ((0, 0), (0, 32)), constant_values=features.pad_id)
    reference = embed(words, checked)
    padding = largest_difference(run_graph(graph, {TOKEN_IDS: padded}), reference)
    return Draft(
        model="text-starter",
        features=features,
        embedding_dim=TEXT_DIM,
        graph=graph,
        source=SOURCE,
        licence=LICENCE,
        checks=(
            _parity(graph, TOKEN_IDS, checked, reference),
            Check("difference with more padding", padding, at_most=MAX_DIFFERENCE),
            _gain(fitted),
        ),
        beside={TOKENIZER: tokenizer},
    )


def build_audio(folders: Sequence[Path], seed: int, _: Examples, progress: Progress) -> Draft:
    """`audio-starter`: tracks."""
    torch.manual_seed(seed)
    labelled = read_labelled(folders, Modality.AUDIO, seed)
    patches = np.stack(feature_tensors(labelled, AUDIO_FEATURES, Modality.AUDIO, progress)).astype(np.float32)
    encoder = PatchEncoder(StarterPatch(AUDIO_FEATURES.mel_bands, AUDIO_DIM))

    def batch_of(rows: Rows, generator: torch.Generator | None) -> Tensor:
        chosen = torch.from_numpy(patches[rows])
        return chosen if generator is None else _varied_patches(chosen, generator)

    fitted = fit(encoder, AUDIO_DIM, batch_of, labelled, AUDIO_EPOCHS, seed, progress)
    checked = patches[labelled.held_out][:CHECKED_ITEMS]
    return build_patch_encoder(
        encoder, "audio-starter", AUDIO_FEATURES, SOURCE, LICENCE, checked, [_gain(fitted)]
    )


def _parity(graph: bytes, name: str, checked: NDArray[np.generic], reference: NDArray[np.float32]) -> Check:
    difference = largest_difference(run_graph(graph, {name: checked}), reference)
    return Check("difference from torch", difference, at_most=MAX_DIFFERENCE)


def _gain(fitted: Fit) -> Check:
    gain = fitted.mean_average_precision / fitted.chance
    name = f"times chance on groups held out, mAP {fitted.mean_average_precision:.2f}:"
    return Check(name, gain, at_least=MIN_GAIN)


def _texts(labelled: Labelled) -> Iterator[str]:
    """What is trained on, as the encoder's tokenizer will see it."""
    for example, held_out in zip(labelled.examples, labelled.held_out, strict=True):
        if not held_out:
            yield join_fields(clean_fields(text_fields_of(example.item), MAX_TEXT_CHARS))


def _varied_pictures(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """All shifted alike by up to 8 pixels, each up to 25 % lighter or darker; uint8 [b, h, w, 3]."""
    down, right = torch.randint(-MAX_SHIFT_PX, MAX_SHIFT_PX + 1, (2,), generator=generator).tolist()
    lights = 0.75 + 0.5 * torch.rand((len(pictures), 1, 1, 1), generator=generator)
    return (torch.roll(pictures, (down, right), dims=(1, 2)) * lights).clamp(0, 255).to(torch.uint8)


def _varied_patches(patches: Tensor, generator: torch.Generator) -> Tensor:
    """Up to 5 dB louder or quieter, a random moment later; float32 [b, p, f, m]."""
    gains = torch.rand((len(patches), 1, 1, 1), generator=generator) - 0.5
    shift = int(torch.randint(0, patches.shape[2], (1,), generator=generator))
    return torch.roll(torch.where(patches > 0, (patches + gains).clamp(min=0), patches), shift, dims=2)


def _without_some(token_ids: Tensor, pad_id: int, generator: torch.Generator) -> Tensor:
    """A fifth of the word pieces left out, as if the text were shorter; int64 [b, t]."""
    left_out = torch.rand(token_ids.shape, generator=generator) < 0.2
    left_out[:, 0] = False
    return token_ids.masked_fill(left_out, pad_id)
