"""Encoders by name or path from timm, torchvision and Hugging Face, on small networks with random weights."""

from importlib.util import find_spec

import numpy as np
import pytest

pytest.importorskip("torch")

import timm
import torch
import torchvision
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertModel,
    PreTrainedTokenizerFast,
    ResNetConfig,
    ResNetModel,
    ViTImageProcessor,
)

from genrestream.repository import Repository
from genrestream.repository.graph import Graph
from genrestream.sample import generate
from genrestream.schemas import Modality
from genrestream.training.encoders.build import build_encoder
from genrestream.training.encoders.draft import EncoderError
from genrestream.training.encoders.examples import find_examples, picture_batch
from genrestream.training.encoders.named import builder_of, parse_named

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Ten generated items a kind."""
    folder = tmp_path_factory.mktemp("sample")
    generate(folder, 10, 3)
    return find_examples(folder)


def quietly(what, done, total):
    """No progress is shown."""


def built(modality, spec, models_dir, examples):
    return build_encoder(builder_of(parse_named(modality, spec)), models_dir, examples, quietly)


def seeded():
    """The same random weights in every run."""
    torch.manual_seed(4)


def test_timm_with_a_state_dict(tmp_path, examples):
    """The size, normalisation and pooling are timm's; the embedding is that of timm's own forward pass."""
    seeded()
    network = timm.create_model("test_resnet", pretrained=False).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    one = built(Modality.IMAGE, f"timm:test_resnet:{tmp_path / 'weights.pth'}", tmp_path, examples)

    record = one.record
    assert (record.model, record.embedding_dim) == ("image-test_resnet", network.num_features)
    assert (record.features.height_px, record.features.width_px) == (160, 160)
    batch = picture_batch(examples.pictures, record.features, 4)
    mean, std = (torch.tensor(network.pretrained_cfg[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    pixels = (torch.from_numpy(batch).permute(0, 3, 1, 2) / 255 - mean) / std
    with torch.inference_mode():
        expected = network.forward_head(network.forward_features(pixels), pre_logits=True).numpy()
    graph = Graph(Repository(tmp_path).version_dir(record.model, 1) / "model.onnx")
    found = graph.run({"image": batch}, "embedding")
    cosine = np.sum(found * expected, axis=1) / (
        np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    )
    assert cosine.min() > 0.95


def test_torchvision_with_a_state_dict(tmp_path, examples):
    """The classifier's last layer is left out: 1024 features of MobileNetV3-Small."""
    seeded()
    network = torchvision.models.mobilenet_v3_small(weights=None)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    one = built(
        Modality.IMAGE, f"torchvision:mobilenet_v3_small:{tmp_path / 'weights.pth'}", tmp_path, examples
    )
    assert (one.record.model, one.record.embedding_dim) == ("image-mobilenet_v3_small", 1024)


def test_weights_of_another_network_are_refused(tmp_path, examples):
    """One line names the network, and nothing is added."""
    torch.save({"weight": torch.ones(1)}, tmp_path / "weights.pth")
    with pytest.raises(EncoderError, match="the weights are not those of test_resnet") as caught:
        built(Modality.IMAGE, f"timm:test_resnet:{tmp_path / 'weights.pth'}", tmp_path, examples)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "image-test_resnet").exists()


def test_a_network_that_says_the_same_of_everything_is_refused(tmp_path, examples):
    """Weights of zero pass the comparison with torch and fail the sanity check; nothing is added."""
    network = timm.create_model("test_resnet", pretrained=False)
    zeros = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    torch.save(zeros, tmp_path / "weights.pth")
    with pytest.raises(EncoderError, match=r"fails its checks: .*dimmed pictures found again"):
        built(Modality.IMAGE, f"timm:test_resnet:{tmp_path / 'weights.pth'}", tmp_path, examples)
    assert not (tmp_path / "image-test_resnet").exists()


def test_a_picture_model_of_hugging_face(tmp_path, examples):
    """A local folder with a model and its picture processor."""
    seeded()
    folder = tmp_path / "Tiny ResNet"
    config = ResNetConfig(embedding_size=16, hidden_sizes=[16, 24], depths=[1, 1], layer_type="basic")
    ResNetModel(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 64, "width": 48}).save_pretrained(folder)
    one = built(Modality.IMAGE, f"hf:{folder}", tmp_path, examples)
    assert (one.record.model, one.record.embedding_dim) == ("image-tiny-resnet", 24)
    assert (one.record.features.height_px, one.record.features.width_px) == (64, 48)


@pytest.fixture(scope="module")
def bert(tmp_path_factory, examples):
    """A two-layer BERT with random weights and a WordPiece tokenizer, as a local folder."""
    seeded()
    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106 - a piece's name
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    texts = (" ".join(fields) for fields in examples.texts)
    tokenizer.train_from_iterator(
        texts, trainers.WordPieceTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    # Saved as some models are: cut and padded to a fixed length, which serving must not inherit.
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=16)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    config = BertConfig(
        vocab_size=500,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def test_a_text_model_of_hugging_face(bert, tmp_path, examples):
    """Its positions limit the tokens of a window, of which a text may have four; its tokenizer neither cuts
    nor pads; embeddings hold both layers and have length 1, and those of a long text are a mean of such."""
    one = built(Modality.TEXT, f"hf:{bert}", tmp_path, examples)
    assert (one.record.model, one.record.embedding_dim) == ("text-tiny-bert", 2 * 32)
    assert one.record.features.max_tokens == 496
    folder = Repository(tmp_path).version_dir("text-tiny-bert", 1)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert (tokenizer.truncation, tokenizer.padding) == (None, None)
    ids = np.array([[2, 7, 8, 9, 3, 0, 0, 0]])
    embedding = Graph(folder / "model.onnx").run({"token_ids": ids}, "embedding")
    assert np.linalg.norm(embedding) == pytest.approx(1.0, abs=1e-5)
    long = np.random.default_rng(0).integers(7, 500, (1, 496))
    assert 0.1 < np.linalg.norm(Graph(folder / "model.onnx").run({"token_ids": long}, "embedding")) < 1.0


def test_a_folder_without_a_model_is_refused(tmp_path, examples):
    """One line, for texts and pictures alike."""
    (tmp_path / "empty").mkdir()
    for modality in (Modality.TEXT, Modality.IMAGE):
        with pytest.raises(EncoderError, match=r"cannot load .*empty") as caught:
            built(modality, f"hf:{tmp_path / 'empty'}", tmp_path, examples)
        assert "\n" not in str(caught.value)


def test_a_download_that_fails_is_one_line(tmp_path, examples, monkeypatch):
    """Without a connection the name of the model is told, and what went wrong."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderError, match="cannot load nobody/no-such-model") as caught:
        built(Modality.TEXT, "hf:nobody/no-such-model", tmp_path, examples)
    assert "\n" not in str(caught.value)


def test_audio_by_a_network_of_timm(tmp_path, examples):
    """A network with one channel hears each patch; the embedding is the mean over them."""
    seeded()
    network = timm.create_model("test_resnet", pretrained=False, in_chans=1).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    one = built(Modality.AUDIO, f"timm:test_resnet:{tmp_path / 'weights.pth'}", tmp_path, examples)
    assert one.record.model == "audio-test_resnet"
    with pytest.raises(EncoderError, match="name weights for sound, timm:test_resnet:FILE"):
        built(Modality.AUDIO, "timm:test_resnet", tmp_path, examples)


def test_another_checkpoint_of_the_wheel(tmp_path, examples):
    """The network that was trained on MagnaTagATune's tags; one that is not there is refused."""
    with pytest.raises(
        EncoderError, match="no musicnn checkpoint nothing: neither a folder nor in the wheel"
    ):
        built(Modality.AUDIO, "musicnn:nothing", tmp_path, examples)
    if find_spec("musicnn") is None:
        pytest.skip("needs the wheel musicnn: uv pip install --no-deps -r requirements/weights.txt")
    one = built(Modality.AUDIO, "musicnn:MTT_musicnn", tmp_path, examples)
    assert (one.record.model, one.record.embedding_dim) == ("audio-mtt_musicnn", 200 + 12 * 16)
