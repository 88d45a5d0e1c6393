"""Audio encoders from timm's picture networks: a log-mel patch is a picture with one channel."""

from pathlib import Path

import timm

from genrestream.schemas import AudioFeatures
from genrestream.training.encoders.draft import EncoderError
from genrestream.training.encoders.named_pictures import load
from genrestream.training.encoders.patches import PatchEncoder
from genrestream.training.encoders.weights import read_state_dict

FEATURES = AudioFeatures()


def load_patch_encoder(name: str, weights: Path | None) -> PatchEncoder:
    """A network of timm that was trained on log-mel patches.

    Raises:
        EncoderError: there is no such network, or no weights for sound were given.
    """
    if not timm.is_model(name):
        raise EncoderError(f"timm has no model {name}")
    if weights is None:
        raise EncoderError(f"timm:{name} is trained on pictures: name weights for sound, timm:{name}:FILE")
    network = timm.create_model(name, pretrained=False, num_classes=0, in_chans=1)
    load(network, read_state_dict(weights), name)
    return PatchEncoder(network)
