"""Records and graphs that the repository's tests are made of."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from genrestream.schemas import (
    AudioFeatures,
    EncoderRecord,
    EncoderReference,
    FeatureSpec,
    HashedTextFeatures,
    ImageFeatures,
    Kind,
    Modality,
    Release,
    TextFeatures,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def image_encoder(model: str = "image-test", dim: int = 4) -> EncoderRecord:
    return EncoderRecord(
        model=model,
        version=1,
        modality=Modality.IMAGE,
        features=ImageFeatures(height_px=32, width_px=16),
        embedding_dim=dim,
        source="test",
        licence="Apache-2.0",
        checksums={},
        created_at=NOON,
    )


def head(
    labels: tuple[str, ...] = ("jazz", "rock"),
    created_at: datetime = NOON,
    image_version: int = 1,
    task: str = "genres",
) -> Release:
    features = FeatureSpec(hashed_text=HashedTextFeatures(), image=image_encoder().features)
    return Release(
        kind=Kind.EVENT,
        task=task,
        model=f"event-{task}",
        version=1,
        labels=labels,
        thresholds=(0.5,) * len(labels),
        taxonomy="event-genres",
        taxonomy_version=1,
        features=features,
        feature_hash=features.spec_hash,
        encoders={
            Modality.IMAGE: EncoderReference(model="image-test", version=image_version, embedding_dim=4)
        },
        modalities=(Modality.TEXT, Modality.IMAGE),
        checksums={},
        created_at=created_at,
    )


def doubling_graph() -> bytes:
    """A graph whose `embedding`, float32 [b, 2], is its input `mel_patches`, float32 [b, 2], times two."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["mel_patches", "two"], ["embedding"])],
        "doubling",
        [helper.make_tensor_value_info("mel_patches", TensorProto.FLOAT, ["b", 2])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["b", 2])],
        [numpy_helper.from_array(np.float32(2.0), "two")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where a repository will be."""
    return tmp_path / "triton_models"


@pytest.fixture(name="image_encoder")
def _image_encoder() -> Callable[..., EncoderRecord]:
    return image_encoder


@pytest.fixture(name="head")
def _head() -> Callable[..., Release]:
    return head


@pytest.fixture(name="encoders")
def _encoders() -> tuple[EncoderRecord, ...]:
    """One encoder a modality."""
    image = image_encoder()
    text = TextFeatures(tokenizer="tokenizer.json", tokenizer_sha256="0" * 64, max_tokens=64)
    return (
        image,
        image.model_copy(update={"model": "text-test", "modality": Modality.TEXT, "features": text}),
        image.model_copy(
            update={"model": "audio-test", "modality": Modality.AUDIO, "features": AudioFeatures()}
        ),
    )


@pytest.fixture
def graph_file(tmp_path: Path) -> Path:
    """The graph of `doubling_graph` as a file."""
    path = tmp_path / "doubling.onnx"
    path.write_bytes(doubling_graph())
    return path
