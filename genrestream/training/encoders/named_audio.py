"""Audio encoders from timm's picture networks: a log-mel patch is a picture with one channel."""

from pathlib import Path

import timm

from genrestream.schemas import AudioFeatures
from genrestream.training.encoders.draft import Draft, EncoderError, Progress
from genrestream.training.encoders.examples import Examples, recording_batch
from genrestream.training.encoders.named_pictures import load
from genrestream.training.encoders.patches import PatchEncoder, build_patch_encoder
from genrestream.training.encoders.weights import read_state_dict

FEATURES = AudioFeatures()
CHECKED_RECORDINGS = 12


def build(
    name: str, weights: Path | None, model: str, described: str, examples: Examples, progress: Progress
) -> Draft:
    """The encoder of a network of timm that was trained on log-mel patches.

    Raises:
        EncoderError: there is no such network, or no weights for sound were given.
    """
    if not timm.is_model(name):
        raise EncoderError(f"timm has no model {name}")
    if weights is None:
        raise EncoderError(f"timm:{name} is trained on pictures: name weights for sound, timm:{name}:FILE")
    network = timm.create_model(name, pretrained=False, num_classes=0, in_chans=1)
    load(network, read_state_dict(weights), name)
    encoder = PatchEncoder(network).eval()
    batch = recording_batch(examples.recordings, FEATURES, CHECKED_RECORDINGS, progress)
    return build_patch_encoder(encoder, model, FEATURES, described, "as its source states", batch)
