"""Encoders by name or path: `timm:resnet18`, `torchvision:resnet18:weights.pth`, `hf:NAME_OR_PATH`, ...

| prefix | pictures | texts | audio |
|---|---|---|---|
| `timm:NAME[:WEIGHTS]` | yes | | log-mel patches as pictures with one channel, needs WEIGHTS |
| `torchvision:NAME[:WEIGHTS]` | yes | | |
| `hf:NAME_OR_PATH` | yes | yes | |
| `musicnn:NAME_OR_PATH` | | | a checkpoint of the wheel (`MTT_musicnn`) or in a folder |

WEIGHTS is a state dict of that network, `.safetensors` or what `torch.save` writes; without it the library's
own pretrained weights are downloaded.
"""

import re
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from genrestream.schemas import Modality
from genrestream.schemas.releases import NAME
from genrestream.training.encoders import musicnn, named_audio, named_pictures
from genrestream.training.encoders.build import Builder
from genrestream.training.encoders.checkpoint import read_checkpoint
from genrestream.training.encoders.draft import Draft, EncoderError, Progress
from genrestream.training.encoders.examples import Examples, recording_batch
from genrestream.training.encoders.patches import build_patch_encoder
from genrestream.training.encoders.pictures import build_picture_encoder
from genrestream.training.encoders.sentences import (
    SentenceEncoder,
    build_sentence_encoder,
    load_sentence_encoder,
)

MAX_TOKENS = 256
CHECKED_RECORDINGS = 12
BUCKET_TOKENS = 16
"""The default of `TextFeatures.bucket_tokens`."""
UNKNOWN_LICENCE = "as its source states"
SOURCES = {
    Modality.IMAGE: ("timm", "torchvision", "hf"),
    Modality.TEXT: ("hf",),
    Modality.AUDIO: ("musicnn", "timm"),
}


@dataclass(frozen=True, slots=True)
class Named:
    """An encoder that was asked for by name or path."""

    modality: Modality
    source: str
    name: str
    weights: Path | None

    @property
    def model(self) -> str:
        """The Triton model's name, from the last part of the name or path."""
        last = re.sub(r"[^a-z0-9._-]+", "-", self.name.rstrip("/").rpartition("/")[2].lower())
        named = last.strip("._-")
        model = f"{self.modality}-{named}"[:64].rstrip("._-")
        if not named or not re.fullmatch(NAME, model):
            raise EncoderError(f"no model can be named after {self.name}")
        return model

    @property
    def described(self) -> str:
        """Where the weights come from, for the record."""
        weights = f" with {self.weights.name}" if self.weights else ""
        name = Path(self.name).name if Path(self.name).exists() else self.name
        return f"{self.source}:{name}{weights}"


def parse_named(modality: Modality, text: str) -> Named:
    """What `--image`, `--text` or `--audio` asks for.

    Raises:
        EncoderError: an unknown source, no name, or weights that are not a file.
    """
    source, _, rest = text.partition(":")
    known = SOURCES[modality]
    if source not in known or not rest:
        forms = ", ".join(f"{name}:NAME" for name in known)
        raise EncoderError(f"--{modality} takes {forms}, not {text!r}")
    if source in {"hf", "musicnn"}:
        return Named(modality, source, rest, None)
    name, _, weights = rest.partition(":")
    if weights and not Path(weights).is_file():
        raise EncoderError(f"no weights at {weights}")
    return Named(modality, source, name, Path(weights) if weights else None)


def builder_of(named: Named) -> Builder:
    """The builder of an encoder by name.

    Raises:
        EncoderError: no model can be named after it.
    """
    build = {
        Modality.IMAGE: _build_picture,
        Modality.TEXT: _build_text,
        Modality.AUDIO: _build_audio,
    }[named.modality]
    return partial(build, named, named.model)


def _build_picture(named: Named, model: str, examples: Examples, progress: Progress) -> Draft:
    progress("load the weights", 0, 1)
    encoder, features = named_pictures.load_picture_encoder(named.source, named.name, named.weights)
    return build_picture_encoder(
        encoder, model, features, named.described, UNKNOWN_LICENCE, examples, progress
    )


def _build_text(named: Named, model: str, examples: Examples, progress: Progress) -> Draft:
    progress("load the weights", 0, 1)
    encoder, tokenizer, max_tokens = load_text_encoder(named)
    return build_sentence_encoder(
        encoder, tokenizer, model, max_tokens, named.described, UNKNOWN_LICENCE, examples, progress
    )


def load_text_encoder(named: Named) -> tuple[SentenceEncoder, bytes, int]:
    """The encoder in PyTorch, its tokenizer file, and the most tokens of a text that it takes.

    Raises:
        EncoderError: it cannot be loaded, or takes fewer tokens than texts are padded to.
    """
    encoder, tokenizer = load_sentence_encoder(named.name, local=Path(named.name).is_dir())
    longest = min(MAX_TOKENS, int(getattr(encoder.transformer.config, "max_position_embeddings", MAX_TOKENS)))
    # Texts are padded to a multiple of the bucket, which must not be longer than the model either.
    max_tokens = longest // BUCKET_TOKENS * BUCKET_TOKENS
    if max_tokens == 0:
        raise EncoderError(f"{named.name} takes {longest} tokens at most, fewer than {BUCKET_TOKENS}")
    return encoder, tokenizer, max_tokens


def _build_audio(named: Named, model: str, examples: Examples, progress: Progress) -> Draft:
    progress("load the weights", 0, 1)
    if named.source == "musicnn":
        weights = read_checkpoint(_musicnn_folder(named.name))
        return musicnn.build_from(weights, model, named.described, UNKNOWN_LICENCE, examples, progress)
    encoder = named_audio.load_patch_encoder(named.name, named.weights)
    features = named_audio.FEATURES
    batch = recording_batch(examples.recordings, features, CHECKED_RECORDINGS, progress)
    return build_patch_encoder(encoder, model, features, named.described, UNKNOWN_LICENCE, batch)


def _musicnn_folder(name: str) -> Path:
    """A folder that was named, or the checkpoint of this name in the wheel."""
    if Path(name).is_dir():
        return Path(name)
    spec = find_spec(musicnn.PACKAGE)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        if (folder := Path(location) / Path(name).name).is_dir():
            return folder
    raise EncoderError(f"no musicnn checkpoint {name}: neither a folder nor in the wheel musicnn")
