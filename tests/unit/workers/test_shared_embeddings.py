"""Sharing embeddings: equal media are encoded once, and the labels are those of encoding each."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from genrestream.schemas import MissingReason, Modality
from genrestream.workers.metrics import WorkerMetrics
from genrestream.workers.protocols import Array
from tests.unit.workers.doubles import EmbeddingsInMemory, Inference, Published
from tests.unit.workers.test_pipeline import event, picture, pipeline, run

BROKEN = {"data": "bm8gcGljdHVyZQ=="}
"""`no picture` in base64."""


class Encoding(Inference):
    """Embeds a picture as the means of its channels; the head's confidences follow them."""

    def __init__(self) -> None:
        super().__init__(lambda inputs: np.clip(inputs["image_embedding"][:, :3] / 255, 0, 1))
        self.encoded = 0

    async def infer(self, model: str, version: int, inputs: Mapping[str, Array], output: str) -> Array:
        """The embeddings, or what the head says."""
        if output != "embedding":
            return await super().infer(model, version, inputs, output)
        (pictures,) = inputs.values()
        self.encoded += len(pictures)
        means = pictures.reshape(len(pictures), -1, 3).mean(1)
        return np.concatenate([means, means[:, :1]], 1).astype(np.float32)


def posters(**by_id: Any) -> list[Any]:
    """An event for each poster."""
    return [
        event(name, offset, title="x", poster=poster) for offset, (name, poster) in enumerate(by_id.items())
    ]


async def test_equal_pictures_of_a_batch_are_encoded_once() -> None:
    """Claim: three events with one poster and one with another need two encodings, and every record has the
    confidences of its own poster; of four media two are counted as hits.
    """
    blue, red = {"data": picture()}, {"data": picture("red")}
    out, inference, metrics = Published(), Encoding(), WorkerMetrics("test")
    await run(pipeline(out, inference, metrics=metrics), *posters(a=blue, b=red, c=blue, d=blue))
    assert inference.encoded == 2
    best = {record.id: record.labels[0].label for record in out.records}
    assert best == {"a": "c", "b": "a", "c": "c", "d": "c"}  # Channels r, g, b stand for labels a, b, c.
    assert (counted(metrics, "hit"), counted(metrics, "miss")) == (2, 2)


async def test_a_known_picture_is_not_encoded_again() -> None:
    """Claim: with the store of an earlier batch, another event with its poster gets the same confidences
    without extraction or encoding, and its record rests on the picture.
    """
    store, out, inference = EmbeddingsInMemory(), Published(), Encoding()
    await run(pipeline(out, inference, embeddings=store), *posters(a={"data": picture()}))
    assert inference.encoded == 1
    await run(pipeline(out, inference, embeddings=store), *posters(b={"data": picture()}))
    assert inference.encoded == 1
    first, again = out.records
    assert again.labels == first.labels
    assert again.modalities_used == (Modality.TEXT, Modality.IMAGE)
    assert again.modalities_missing == ()


async def test_a_broken_picture_is_broken_for_all_who_share_it_and_is_not_kept() -> None:
    """Claim: both events are labelled from their text and say unreadable; the store stays empty."""
    store, out = EmbeddingsInMemory(), Published()
    await run(pipeline(out, Encoding(), embeddings=store), *posters(a=BROKEN, b=BROKEN))
    reasons = [[missing.reason for missing in record.modalities_missing] for record in out.records]
    assert reasons == [[MissingReason.UNREADABLE]] * 2
    assert store.kept == {}


def counted(metrics: WorkerMetrics, outcome: str) -> float | None:
    """The metric, of pictures."""
    labels = {"modality": "image", "outcome": outcome}
    return metrics.registry.get_sample_value("genrestream_shared_embeddings_total", labels)
