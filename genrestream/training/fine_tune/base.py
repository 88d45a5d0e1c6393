"""The encoder that is to be tuned, in PyTorch, with all that its export needs."""

from collections.abc import Mapping
from dataclasses import dataclass

from genrestream.repository import TOKENIZER
from genrestream.schemas.features import AudioFeatures, ImageFeatures, TextFeatures
from genrestream.schemas.items import Modality
from genrestream.training.encoders import e5_small, efficientnet_lite0, named_audio, named_pictures
from genrestream.training.encoders.draft import EncoderError
from genrestream.training.encoders.named import UNKNOWN_LICENCE, load_text_encoder, parse_named
from genrestream.training.encoders.patches import PatchEncoder
from genrestream.training.encoders.pictures import PictureEncoder
from genrestream.training.encoders.sentences import SentenceEncoder, features_with
from genrestream.training.fine_tune.settings import PRETRAINED

Tunable = PictureEncoder | SentenceEncoder | PatchEncoder

NO_MUSICNN = (
    "fine-tuning takes pictures and texts: musicnn is no PyTorch module; of audio encoders it takes "
    "timm:NAME:WEIGHTS"
)


@dataclass(frozen=True, slots=True)
class Base:
    """An encoder that was trained on something else."""

    modality: Modality
    model: str
    """Its own name in a model repository."""
    encoder: Tunable
    features: ImageFeatures | TextFeatures | AudioFeatures
    source: str
    """Where its weights come from, for the record."""
    licence: str
    tokenizer: bytes = b""
    """The file of a text encoder."""

    @property
    def beside(self) -> Mapping[str, bytes]:
        """The files that its features need."""
        return {TOKENIZER: self.tokenizer} if self.tokenizer else {}


def load_base(modality: Modality, spec: str) -> Base:
    """The encoder that `spec` names: `pretrained`, or what `genrestream encoders build` takes.

    Raises:
        EncoderError: there is none, it cannot be loaded, or it is not made of PyTorch modules.
    """
    if spec == PRETRAINED:
        return _pretrained(modality)
    named = parse_named(modality, spec)
    match modality:
        case Modality.IMAGE:
            pictures, shown = named_pictures.load_picture_encoder(named.source, named.name, named.weights)
            return Base(modality, named.model, pictures, shown, named.described, UNKNOWN_LICENCE)
        case Modality.TEXT:
            sentences, tokenizer, max_tokens = load_text_encoder(named)
            read = features_with(tokenizer, max_tokens, sentences.pad_id)
            return Base(modality, named.model, sentences, read, named.described, UNKNOWN_LICENCE, tokenizer)
        case Modality.AUDIO:
            if named.source != "timm":
                raise EncoderError(NO_MUSICNN)
            patches = named_audio.load_patch_encoder(named.name, named.weights)
            heard = named_audio.FEATURES
            return Base(modality, named.model, patches, heard, named.described, UNKNOWN_LICENCE)


def _pretrained(modality: Modality) -> Base:
    match modality:
        case Modality.IMAGE:
            return Base(
                modality,
                efficientnet_lite0.MODEL,
                efficientnet_lite0.load(),
                efficientnet_lite0.FEATURES,
                efficientnet_lite0.SOURCE,
                efficientnet_lite0.LICENCE,
            )
        case Modality.TEXT:
            sentences, tokenizer = e5_small.load()
            read = features_with(tokenizer, e5_small.MAX_TOKENS, sentences.pad_id)
            return Base(
                modality, e5_small.MODEL, sentences, read, e5_small.SOURCE, e5_small.LICENCE, tokenizer
            )
        case Modality.AUDIO:
            raise EncoderError(NO_MUSICNN)
