"""The starter encoders: trained alike from one seed, and the committed ones whole, small and of use."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from genrestream.repository import Repository
from genrestream.repository.graph import Graph
from genrestream.sample import SET_NAMES, generate
from genrestream.schemas import Modality
from genrestream.training.encoders.examples import Examples, find_examples, picture_batch, recording_batch
from genrestream.training.encoders.parity import found_again
from genrestream.training.encoders.pictures import dim
from genrestream.training.encoders.starter import builders
from genrestream.workers.features.content import Content, FeaturePlan
from genrestream.workers.features.extract import extract

pytestmark = pytest.mark.training

COMMITTED = Path(__file__).resolve().parents[2] / "triton_models"
STARTERS = {"image-starter": 128, "text-starter": 96, "audio-starter": 64}
MAX_STARTER_BYTES = 3_000_000


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """Ninety generated items a kind: a seed that the starters were not trained on."""
    folder = tmp_path_factory.mktemp("sample")
    generate(folder, 90, 1234)
    return folder


def quietly(what, done, total):
    """No progress is shown."""


@pytest.mark.parametrize("build", [builders.build_image, builders.build_text, builders.build_audio])
def test_one_seed_gives_one_encoder(build, sample, monkeypatch):
    """Graph and tokenizer are the same bytes; another seed gives others."""
    for epochs in ("IMAGE_EPOCHS", "TEXT_EPOCHS", "AUDIO_EPOCHS"):
        monkeypatch.setattr(builders, epochs, 1)
    folders = [sample / name for name in SET_NAMES.values()]
    first, second, other = (build(folders, seed, Examples(), quietly) for seed in (5, 5, 6))
    assert first.files == second.files
    assert first.graph != other.graph
    assert first.checks[0].name == "difference from torch"
    assert first.checks[0].passed


def test_the_committed_starters_are_whole_and_small():
    """Each record's checksums hold, and each is under 3 MB."""
    repository = Repository(COMMITTED)
    newest = {model: repository.newest_encoder(model) for model in STARTERS}
    assert {model: record.embedding_dim for model, record in newest.items()} == STARTERS
    for model, record in newest.items():
        repository.verify(model, record.version)
        folder = repository.version_dir(model, record.version)
        assert sum(path.stat().st_size for path in folder.iterdir()) < MAX_STARTER_BYTES


def committed(model):
    """The newest version's record, graph and folder."""
    repository = Repository(COMMITTED)
    record = repository.newest_encoder(model)
    folder = repository.version_dir(model, record.version)
    return record, Graph(folder / "model.onnx"), folder


def test_the_committed_picture_encoder_knows_a_picture_in_less_light(sample):
    """Of 60 new pictures at 80 % brightness nearly all are nearest to themselves."""
    record, graph, _ = committed("image-starter")
    pictures = picture_batch(find_examples(sample).pictures, record.features, 60)
    rows = graph.run({"image": pictures}, "embedding")
    dimmed = graph.run({"image": dim(pictures)}, "embedding")
    assert rows.shape == (60, 128)
    assert found_again(dimmed, rows) > 0.9


def test_the_committed_audio_encoder_tells_recordings_apart(sample):
    """Twelve new recordings have embeddings of their own, and a batch gives what each gives alone."""
    record, graph, _ = committed("audio-starter")
    patches = recording_batch(find_examples(sample).recordings, record.features, 12)
    rows = graph.run({"mel_patches": patches}, "embedding")
    alone = np.concatenate([graph.run({"mel_patches": one[None]}, "embedding") for one in patches])
    np.testing.assert_allclose(rows, alone, atol=1e-4)
    assert found_again(rows + np.float32(0.01), rows) == 1


@pytest.mark.parametrize(
    "text", ["Ein Abend mit Jazz", "джаз у моря", "爵士之夜", "🎷🎷", "zzxqy", "ﷺ", "1984"]
)
def test_the_committed_text_encoder_takes_every_script(text):
    """Bytes are its alphabet: every text gives tokens, none of them unknown, and a finite embedding."""
    record, graph, folder = committed("text-starter")
    spec = record.features
    plan = FeaturePlan(specs=(spec,), tokenizers={spec.tokenizer_sha256: str(folder / spec.tokenizer)})
    (ids,) = extract(Content(text=(text,)), plan).tensors
    assert len(ids) >= 1
    assert spec.pad_id not in ids.tolist()
    embedding = graph.run({"token_ids": ids[None]}, "embedding")
    assert embedding.shape == (1, 96)
    assert np.isfinite(embedding).all()
    padded = np.pad(ids[None], ((0, 0), (0, 48)), constant_values=spec.pad_id)
    np.testing.assert_allclose(graph.run({"token_ids": padded}, "embedding"), embedding, atol=1e-4)
    assert record.modality is Modality.TEXT
