"""The encoder of music from the wheel musicnn (ISC): read, written as ONNX, checked against PyTorch.

Legend: b batch, p patches, f frames, m mel bands, l tags.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from genrestream.schemas.releases import EmbeddingView
from genrestream.schemas.tensors import MEL_PATCHES
from genrestream.training.encoders.checkpoint import read_checkpoint
from genrestream.training.encoders.draft import Check, Draft, EncoderError, Progress
from genrestream.training.encoders.examples import Examples, recording_batch
from genrestream.training.encoders.musicnn_graph import FEATURES, Weights, musicnn_graph
from genrestream.training.encoders.musicnn_reference import TAGS, Musicnn, reference_with
from genrestream.training.encoders.onnx_export import check_graph, export, side_by_side
from genrestream.training.encoders.parity import found_again, largest_difference, run_graph
from genrestream.training.encoders.patches import make_louder
from genrestream.training.encoders.pictures import MIN_FOUND_AGAIN, embed
from genrestream.training.encoders.rhythm import Rhythm
from genrestream.training.encoders.tones import drum_machine, lone_notes
from genrestream.training.encoders.wheels import wheel_file
from genrestream.workers.features.mel import log_mel

MODEL = "audio-musicnn"
PACKAGE = "musicnn"
WEIGHTS = "MSD_musicnn/.data-00000-of-00001"
WEIGHTS_SHA256 = "8579734ee6388f799ed0def4bbd0d1fdcbeaf213ef2a9dc860917bd76a303de6"
CHECKED_RECORDINGS = 8
MAX_DIFFERENCE = 1e-4
MIN_TAG_CONTRAST = 0.5
"""The published weights reach 0.93, random ones are below 0."""
BEAT_TAGS = ("electronic", "dance", "electronica", "electro", "House", "Hip-Hop")
QUIET_TAGS = ("ambient", "instrumental", "acoustic", "chillout", "Mellow", "folk", "jazz", "beautiful")


def build(examples: Examples, progress: Progress) -> Draft:
    """The encoder from the installed wheel.

    Raises:
        EncoderError: the wheel is missing or is not the known one.
    """
    progress("read the checkpoint", 0, 1)
    weights = read_checkpoint(wheel_file(PACKAGE, WEIGHTS, WEIGHTS_SHA256).parent)
    contrast = tag_contrast(reference_with(weights))
    heard = Check("tag contrast of beats and lone notes", contrast, at_least=MIN_TAG_CONTRAST)
    source = "wheel musicnn 0.1.0, MSD_musicnn (Million Song Dataset tags)"
    return build_from(weights, MODEL, source, "ISC", examples, progress, [heard])


def build_from(
    weights: Weights,
    model: str,
    source: str,
    licence: str,
    examples: Examples,
    progress: Progress,
    more_checks: Sequence[Check] = (),
) -> Draft:
    """The encoder from the tensors of a musicnn checkpoint, whatever tags it was trained on.

    Its embedding ends with the patches' rhythm, which heads hear as a view of its own.

    Raises:
        EncoderError: they are not those of a musicnn.
    """
    network = musicnn_graph(weights)
    try:
        reference = reference_with(weights)
    except (KeyError, ValueError) as error:
        raise EncoderError(f"the checkpoint is no musicnn: {error}") from error
    batch = recording_batch(examples.recordings, FEATURES, CHECKED_RECORDINGS, progress)
    rhythm = Rhythm(FEATURES)
    graph = side_by_side(
        network, export(rhythm, torch.from_numpy(batch[:2]), MEL_PATCHES, ("b",)), MEL_PATCHES
    )
    check_graph(graph)
    expected = _reference_embeddings(reference, batch)
    of_rhythm = embed(rhythm, batch)
    dims = expected.shape[1]
    found = run_graph(graph, {MEL_PATCHES: batch})
    louder = run_graph(graph, {MEL_PATCHES: make_louder(batch)})
    difference = largest_difference(found[:, :dims], expected)
    difference_of_rhythm = largest_difference(found[:, dims:], of_rhythm)
    again = found_again(louder[:, :dims], found[:, :dims])
    return Draft(
        model=model,
        features=FEATURES,
        embedding_dim=found.shape[1],
        views=(
            EmbeddingView(name="network", start=0, stop=dims),
            EmbeddingView(name="rhythm", start=dims, stop=found.shape[1]),
        ),
        graph=graph,
        source=source,
        licence=licence,
        checks=(
            Check("difference from torch", difference, at_most=MAX_DIFFERENCE),
            Check("difference of the rhythm", difference_of_rhythm, at_most=MAX_DIFFERENCE),
            Check("louder recordings found again", again, at_least=MIN_FOUND_AGAIN),
            *more_checks,
        ),
    )


def tag_contrast(reference: Musicnn) -> float:
    """How much more the tags of beats than those of quiet music tell a drum machine from lone notes.

    Both sounds are made here, so that it needs no recording; 0 when the network hears no difference.
    """
    beats = tag_probabilities(reference, drum_machine(FEATURES.sample_rate_hz))
    notes = tag_probabilities(reference, lone_notes(FEATURES.sample_rate_hz))
    more_beat = sum(beats[tag] - notes[tag] for tag in BEAT_TAGS)
    more_quiet = sum(notes[tag] - beats[tag] for tag in QUIET_TAGS)
    return min(more_beat, more_quiet)


def tag_probabilities(reference: Musicnn, samples: NDArray[np.float32]) -> dict[str, float]:
    """The probability of each tag, averaged over the samples' patches."""
    mel = log_mel(samples, FEATURES)
    patches = len(mel) // FEATURES.patch_frames
    batch = mel[: patches * FEATURES.patch_frames].reshape(patches, FEATURES.patch_frames, -1)
    with torch.inference_mode():
        _, logits = reference(torch.from_numpy(batch))
    mean = torch.sigmoid(logits).mean(dim=0).tolist()
    return dict(zip(TAGS, mean, strict=True))


def _reference_embeddings(reference: Musicnn, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [b, p, f, m] to float32 [b, d] by the PyTorch network."""
    b, p = batch.shape[:2]
    with torch.inference_mode():
        embedding, _ = reference(torch.from_numpy(batch.reshape(b * p, *batch.shape[2:])))
    averaged: NDArray[np.float32] = embedding.reshape(b, p, -1).mean(dim=1).numpy()
    return averaged
