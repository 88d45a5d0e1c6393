"""Triton's configuration: what Triton itself would read from the generated text."""

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as triton

from genrestream.repository import encoder_config, head_config


def parse(text):
    return text_format.Parse(text, triton.ModelConfig())


def test_an_image_encoder_takes_uint8_pictures_of_its_size(encoders):
    """The configuration states the tensors of `schemas.tensors` and serves just the versions asked for."""
    config = parse(encoder_config(encoders[0], [3, 1]))

    assert config.name == "image-test"
    assert config.backend == "onnxruntime"
    assert config.max_batch_size == 64
    (image,) = config.input
    assert (image.name, image.data_type, list(image.dims)) == ("image", triton.TYPE_UINT8, [32, 16, 3])
    (embedding,) = config.output
    assert (embedding.name, embedding.data_type, list(embedding.dims)) == ("embedding", triton.TYPE_FP32, [4])
    assert list(config.version_policy.specific.versions) == [1, 3]
    assert config.dynamic_batching.max_queue_delay_microseconds == 1000
    assert len(config.instance_group) == 0


def test_a_text_encoder_takes_any_number_of_tokens(encoders):
    """The token dimension is free."""
    (tokens,) = parse(encoder_config(encoders[1], [1])).input
    assert (tokens.name, tokens.data_type, list(tokens.dims)) == ("token_ids", triton.TYPE_INT64, [-1])


def test_an_audio_encoder_takes_its_patches(encoders):
    """Patches, frames and bands stand as in the feature specification."""
    (patches,) = parse(encoder_config(encoders[2], [1])).input
    assert (patches.name, patches.data_type) == ("mel_patches", triton.TYPE_FP32)
    assert list(patches.dims) == [3, 187, 96]


def test_a_head_takes_embeddings_terms_and_presence(head):
    """A head's inputs follow from its encoders and its hashed words, its output from its labels."""
    config = parse(head_config(head(labels=("folk", "jazz", "rock")), [2]))

    inputs = {tensor.name: (tensor.data_type, list(tensor.dims)) for tensor in config.input}
    assert inputs == {
        "image_embedding": (triton.TYPE_FP32, [4]),
        "term_ids": (triton.TYPE_INT32, [-1]),
        "term_weights": (triton.TYPE_FP32, [-1]),
        "presence": (triton.TYPE_FP32, [3]),
    }
    (confidences,) = config.output
    assert (confidences.name, list(confidences.dims)) == ("confidences", [3])


def test_the_first_line_says_that_it_is_generated(head):
    """Nobody edits what the next release overwrites."""
    assert head_config(head(), [1]).startswith("# Generated: do not edit.")


def test_a_configuration_without_versions_is_refused(head):
    """Triton would serve nothing and say so only when a request fails."""
    with pytest.raises(ValueError, match="at least one version"):
        head_config(head(), [])
