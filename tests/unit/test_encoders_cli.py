"""`genrestream encoders`: what it prints, and how it refuses."""

import json
import sys
from datetime import UTC, datetime

import pytest

from genrestream.cli.encoders import build, list_encoders
from genrestream.cli.errors import CommandError
from genrestream.repository import Repository
from genrestream.schemas import EncoderRecord, ImageFeatures, Modality


@pytest.fixture
def models(tmp_path):
    """A repository with one encoder."""
    record = EncoderRecord(
        model="image-test",
        version=1,
        modality=Modality.IMAGE,
        features=ImageFeatures(height_px=32, width_px=16),
        embedding_dim=4,
        source="test",
        licence="ISC",
        checksums={},
        created_at=datetime(2026, 3, 1, tzinfo=UTC),
    )
    Repository(tmp_path).add_encoder({"model.onnx": b"graph"}, record)
    return tmp_path


def test_encoders_are_listed_as_json(models, capsys):
    """A program reads the records."""
    list_encoders(models, as_json=True)
    (record,) = json.loads(capsys.readouterr().out)
    assert (record["model"], record["version"], record["embedding_dim"]) == ("image-test", 1, 4)


def test_encoders_are_listed_for_people(models, capsys):
    """One row an encoder."""
    list_encoders(models)
    assert "image-test" in capsys.readouterr().out


def test_a_missing_repository_is_one_line(tmp_path):
    """The folder is named."""
    with pytest.raises(CommandError, match=r"no model repository at .*absent"):
        list_encoders(tmp_path / "absent")


def test_a_set_and_single_encoders_exclude_each_other(tmp_path):
    """Which of both was meant is not guessed."""
    with pytest.raises(CommandError, match="name either pretrained or starter, or single encoders"):
        build("starter", image="timm:resnet18", models=tmp_path)


def test_without_torch_the_remedy_is_named(tmp_path, monkeypatch):
    """A worker's environment has no torch: one line says what to install."""
    for module in [name for name in sys.modules if name.startswith("genrestream.training.encoders.named")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "torch", None)
    for module in [name for name in sys.modules if name.startswith("genrestream.training.encoders.")]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(
        CommandError,
        match="is not installed; building encoders needs the training extra: make setup-training",
    ):
        build(image="timm:resnet18", models=tmp_path)


def test_a_wrong_encoder_is_one_line(tmp_path):
    """Before anything is generated or downloaded."""
    pytest.importorskip("torch")
    with pytest.raises(CommandError, match="--text takes hf:NAME, not 'word2vec'"):
        build(text="word2vec", models=tmp_path)
