"""Triton's `config.pbtxt`, generated from the records.

No instance group is stated, so that Triton places models on GPUs where there are some; the versions are
named one by one, because workers pin versions and a rollback must find the previous one loaded.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from genrestream.schemas.releases import EncoderRecord, Release
from genrestream.schemas.tensors import Tensor, encoder_input, encoder_output, head_inputs, head_output

HEADER = "# Generated: do not edit. Written by genrestream from the versions' records."

MAX_BATCH_SIZE = 64
"""Items of one request; twice a worker's micro-batch."""

ENCODER_QUEUE_DELAY_US = 1000
"""How long the batcher waits for more: small beside the milliseconds an item costs an encoder."""

HEAD_QUEUE_DELAY_US = 500
"""A head costs well under a millisecond, and requests come in batches already."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives: one for all its versions, because `config.pbtxt` is one for them all."""

    inputs: tuple[Tensor, ...]
    output: Tensor


def signature(record: EncoderRecord | Release) -> Signature:
    """The tensors of the model that a record describes."""
    if isinstance(record, EncoderRecord):
        return Signature((encoder_input(record.features),), encoder_output(record.embedding_dim))
    dims = {modality: encoder.embedding_dim for modality, encoder in record.encoders.items()}
    features = record.features
    inputs = head_inputs(
        dims,
        hashed_text=features.hashed_text is not None,
        picture_text=features.tells_read_text,
    )
    return Signature(inputs, head_output(len(record.labels)))


def encoder_config(record: EncoderRecord, versions: Iterable[int]) -> str:
    """The text of an encoder's `config.pbtxt` that serves the given versions."""
    return _config(record.model, signature(record), versions, ENCODER_QUEUE_DELAY_US)


def head_config(release: Release, versions: Iterable[int]) -> str:
    """The text of a head's `config.pbtxt` that serves the given versions."""
    return _config(release.model, signature(release), versions, HEAD_QUEUE_DELAY_US)


def _config(model: str, tensors: Signature, versions: Iterable[int], queue_delay_us: int) -> str:
    served = sorted(set(versions))
    if not served:
        raise ValueError(f"{model} needs at least one version to serve")
    return "\n".join(
        [
            HEADER,
            f'name: "{model}"',
            'backend: "onnxruntime"',
            f"max_batch_size: {MAX_BATCH_SIZE}",
            *(_tensor("input", tensor) for tensor in tensors.inputs),
            _tensor("output", tensors.output),
            f"dynamic_batching {{ max_queue_delay_microseconds: {queue_delay_us} }}",
            f"version_policy {{ specific {{ versions: [ {', '.join(map(str, served))} ] }} }}",
            "",
        ]
    )


def _tensor(direction: str, tensor: Tensor) -> str:
    dims = ", ".join(map(str, tensor.shape))
    return f'{direction} {{ name: "{tensor.name}" data_type: TYPE_{tensor.dtype} dims: [ {dims} ] }}'
