"""What `--image`, `--text` and `--audio` take, and what they refuse in one line."""

import pickle

import pytest

pytest.importorskip("torch")

import torch

from genrestream.schemas import Modality
from genrestream.training.encoders.draft import EncoderError
from genrestream.training.encoders.efficientnet_lite0 import by_position
from genrestream.training.encoders.named import builder_of, parse_named
from genrestream.training.encoders.named_pictures import from_timm, from_torchvision
from genrestream.training.encoders.weights import read_state_dict

pytestmark = pytest.mark.training


@pytest.mark.parametrize(
    ("modality", "text", "model"),
    [
        (Modality.IMAGE, "timm:resnet18", "image-resnet18"),
        (Modality.IMAGE, "timm:resnet18.a1_in1k", "image-resnet18.a1_in1k"),
        (Modality.IMAGE, "torchvision:mobilenet_v3_small", "image-mobilenet_v3_small"),
        (Modality.TEXT, "hf:sentence-transformers/All-MiniLM-L12-v2", "text-all-minilm-l12-v2"),
        (Modality.TEXT, "hf:/models/my model/", "text-my-model"),
        (Modality.AUDIO, "musicnn:MTT_musicnn", "audio-mtt_musicnn"),
    ],
)
def test_a_model_is_named_after_the_last_part(modality, text, model):
    """Triton's model name is the modality and the name or folder, in its alphabet."""
    assert parse_named(modality, text).model == model


@pytest.mark.parametrize(
    ("modality", "text", "fault"),
    [
        (Modality.IMAGE, "resnet18", "--image takes timm:NAME, torchvision:NAME, hf:NAME, not 'resnet18'"),
        (Modality.IMAGE, "timm:", "--image takes timm:NAME"),
        (Modality.TEXT, "timm:resnet18", "--text takes hf:NAME, not 'timm:resnet18'"),
        (Modality.IMAGE, "timm:resnet18:/absent.pth", "no weights at /absent.pth"),
    ],
)
def test_what_is_no_encoder_is_refused(modality, text, fault):
    """The message says what the option takes."""
    with pytest.raises(EncoderError, match=fault):
        parse_named(modality, text)


def test_a_name_without_letters_is_refused():
    """Nothing can be made of it for Triton."""
    with pytest.raises(EncoderError, match="no model can be named after"):
        builder_of(parse_named(Modality.TEXT, "hf:///" + "é" * 80 + "/" + "-" * 3))


def test_unknown_networks_are_refused():
    """The libraries are asked first."""
    with pytest.raises(EncoderError, match="timm has no model resnet19"):
        from_timm("resnet19", None)
    with pytest.raises(EncoderError, match="torchvision has no classifier resnet19"):
        from_torchvision("resnet19", None)


class Evil:
    """Unpickling it would run a command."""

    def __reduce__(self):
        return (print, ("code in weights was run",))


def test_code_in_weights_is_not_run(tmp_path, capfd):
    """Only tensors are read from what `torch.save` writes."""
    path = tmp_path / "evil.pth"
    torch.save({"weight": Evil()}, path)
    with pytest.raises(EncoderError, match="cannot read the weights in"):
        read_state_dict(path)
    assert "code in weights was run" not in capfd.readouterr().out


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps([1, 2])])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_is_no_state_dict_is_refused(tmp_path, content, suffix):
    """One line, whatever the file holds."""
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(content)
    with pytest.raises(EncoderError, match=r"cannot read the weights|no state dict") as caught:
        read_state_dict(path)
    assert "\n" not in str(caught.value)


def test_a_nested_state_dict_is_found(tmp_path):
    """Training scripts wrap it in `state_dict`."""
    path = tmp_path / "checkpoint.pth"
    torch.save({"state_dict": {"weight": torch.ones(2)}}, path)
    assert read_state_dict(path)["weight"].tolist() == [1, 1]


def test_weights_by_position_need_equal_shapes():
    """Two namings of the same layers are matched by order, and only if every shape agrees."""
    wanted = {"a": torch.zeros(2), "b": torch.zeros(3)}
    stored = {"x": torch.ones(2), "y": torch.ones(3)}
    assert {name: value.tolist() for name, value in by_position(wanted, stored).items()} == {
        "a": [1, 1],
        "b": [1, 1, 1],
    }
    with pytest.raises(EncoderError, match=r"y has shape \[3\], b has \[4\]"):
        by_position(wanted | {"b": torch.zeros(4)}, stored)
    with pytest.raises(EncoderError, match="the weights hold 1 tensors, the network has 2"):
        by_position(wanted, {"x": torch.ones(2)})
