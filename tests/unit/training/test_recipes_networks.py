"""The recipes' networks: the GRU, VGG16 and its weights, late fusion."""

from pathlib import Path

import numpy as np
import pytest

from genrestream.schemas import Modality
from genrestream.schemas.tensors import TOKEN_IDS
from genrestream.training.errors import TrainingError

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from torchvision.models.vgg import cfgs, make_layers  # noqa: E402

from genrestream.training.encoders.onnx_export import export  # noqa: E402
from genrestream.training.encoders.parity import run_graph  # noqa: E402
from genrestream.training.recipes.gru import GruEncoder  # noqa: E402
from genrestream.training.recipes.loss import binary, categorical  # noqa: E402
from genrestream.training.recipes.network import LateFusion, RecipeNetwork  # noqa: E402
from genrestream.training.recipes.spec import Gru, Vgg16  # noqa: E402
from genrestream.training.recipes.vgg16 import Vgg16Encoder, load_weights  # noqa: E402

DIMS = {Modality.TEXT: 3, Modality.IMAGE: 2}
BOTH, TEXT, IMAGE, NOTHING = [1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]


def gru() -> GruEncoder:
    torch.manual_seed(0)
    return GruEncoder(Gru(network="gru", word_dim=8, hidden=6, max_tokens=16), ids=50).eval()


def vgg(**changed: object) -> Vgg16:
    given = {
        "network": "vgg16",
        "width": 0.05,
        "image_px": 32,
        "embedding": 8,
        "batch_norm": False,
        **changed,
    }
    return Vgg16.model_validate(given)


def fusion(*, softmax: bool) -> LateFusion:
    torch.manual_seed(0)
    return LateFusion(DIMS, np.array([0.5, 0.3, 0.2], np.float32), softmax=softmax)


def embeddings(items: int) -> dict[Modality, torch.Tensor]:
    torch.manual_seed(1)
    return {modality: torch.randn(items, size) for modality, size in DIMS.items()}


def test_padding_does_not_change_a_text():
    """Neither in PyTorch nor in the graph, alone or beside longer texts; another word at the end does."""
    encoder = gru()
    graph = export(encoder, torch.tensor([[2, 5, 7], [2, 9, 0]]), TOKEN_IDS, ("b", "t"))
    text = np.array([[2, 11, 12]], np.int64)
    padded = np.array([[2, 11, 12, 0, 0, 0, 0], [2, 1, 3, 4, 5, 6, 7], [2, 11, 13, 0, 0, 0, 0]], np.int64)
    with torch.no_grad():
        alone, among = encoder(torch.from_numpy(text)).numpy(), encoder(torch.from_numpy(padded)).numpy()
    np.testing.assert_allclose(among[0], alone[0], atol=1e-6)
    np.testing.assert_allclose(run_graph(graph, {TOKEN_IDS: text})[0], alone[0], atol=1e-6)
    np.testing.assert_allclose(run_graph(graph, {TOKEN_IDS: padded}), among, atol=1e-6)
    assert np.abs(among[2] - alone[0]).max() > 1e-3


def test_vgg16_sees_blue_first_and_without_the_mean():
    """A picture of ImageNet's mean colour is zero to the first convolution; with red and blue exchanged it is
    not."""
    encoder = Vgg16Encoder(vgg()).eval()
    seen: list[torch.Tensor] = []
    encoder.features[0].register_forward_hook(lambda module, given, result: seen.append(given[0]))
    mean_rgb = torch.tensor([123.675, 116.28, 103.53])
    for colour in (mean_rgb, mean_rgb.flip(0), torch.tensor([255.0, 0.0, 0.0])):
        encoder(colour.expand(1, 32, 32, 3))
    assert seen[0].abs().max() < 1e-5
    assert seen[1].abs().max() > 0.3
    # Red stands last: (255 - 123.675) / 58.395.
    assert seen[2][0, :, 0, 0].tolist() == pytest.approx(
        [-103.53 / 57.375, -116.28 / 57.12, 2.2489], abs=1e-4
    )


def test_weights_of_torchvision_give_torchvisions_features(tmp_path: Path):
    """A state dict over RGB is loaded so that the features of a picture are those of torchvision's network on
    the picture as torchvision normalises it."""
    theirs = make_layers(cfgs["D"], batch_norm=False).eval()
    path = tmp_path / "vgg16.pth"
    torch.save({f"features.{name}": value for name, value in theirs.state_dict().items()}, path)
    spec = vgg(width=1.0, weights=str(path))
    ours = Vgg16Encoder(spec).eval()
    load_weights(ours, spec)
    picture = torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = ((picture.float() / 255 - mean) / deviation).permute(0, 3, 1, 2)
    found: list[torch.Tensor] = []
    ours.features.register_forward_hook(lambda module, given, result: found.append(result))
    with torch.no_grad():
        ours(picture)
        expected = theirs(normalised)
    torch.testing.assert_close(found[0], expected, atol=1e-4, rtol=1e-3)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path):
    """Other shapes, other names, other things than tensors, no file: each with one line that names it."""
    spec = vgg()
    state = {f"features.{name}": value for name, value in Vgg16Encoder(spec).features.state_dict().items()}
    path = tmp_path / "weights.pth"
    torch.save(state, path)
    load_weights(Vgg16Encoder(spec), vgg(weights=str(path)))
    wider = vgg(weights=str(path), width=0.1)
    with pytest.raises(
        TrainingError, match=r"features\.0\.weight has shape \[4, 3, 3, 3\], a VGG16 of width 0\.1"
    ):
        load_weights(Vgg16Encoder(wider), wider)
    torch.save({"layer.weight": torch.zeros(2)}, path)
    with pytest.raises(TrainingError, match=r"has no features\.0\.weight: it is no VGG16"):
        load_weights(Vgg16Encoder(spec), vgg(weights=str(path)))
    torch.save(Path, path)
    with pytest.raises(TrainingError, match=r"cannot read the weights in"):
        load_weights(Vgg16Encoder(spec), vgg(weights=str(path)))
    with pytest.raises(TrainingError, match=r"cannot read the weights in .*none\.pth: .*No such file"):
        load_weights(Vgg16Encoder(spec), vgg(weights=str(tmp_path / "none.pth")))


def test_imagenet_weights_that_cannot_be_had_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without a connection the error says so, and what to do."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    spec = vgg(width=1.0, weights="imagenet")
    with pytest.raises(
        TrainingError, match=r"cannot be had from https.*name it with `weights: PATH`"
    ) as caught:
        load_weights(Vgg16Encoder(spec), spec)
    assert "\n" not in str(caught.value)


def test_blocks_that_do_not_learn_stay_as_they_were():
    """Of five blocks the first two have 4 convolutions; training moves neither these nor their batch norms'
    statistics, and it moves all others."""
    encoder = Vgg16Encoder(vgg(weights="given", trained_blocks=3, batch_norm=True)).train()
    before = {name: value.clone() for name, value in encoder.features.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], lr=0.1)
    encoder(torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8)).sum().backward()
    optimiser.step()
    moved = {
        int(name.split(".")[0])
        for name, value in encoder.features.state_dict().items()
        if (value != before[name]).any()
    }
    # Convolution, batch norm, ReLU twice and a pooling: 7 layers in each of the first two blocks.
    assert min(moved) == 14
    assert len(moved) == 2 * 9


def test_late_fusion_is_the_mean_of_what_is_there():
    """With both modalities the mean of both branches' probabilities, with one that branch's own, whatever
    stands in the other's place, and with none the labels' shares."""
    for softmax in (True, False):
        head, given = fusion(softmax=softmax), embeddings(4)
        with torch.no_grad():
            both, text, image, nothing = head(given, torch.tensor([BOTH, TEXT, IMAGE, NOTHING]))
            all_text = head(given, torch.tensor([TEXT] * 4))
            all_image = head(given, torch.tensor([IMAGE] * 4))
        torch.testing.assert_close(both, (all_text[0] + all_image[0]) / 2)
        torch.testing.assert_close(text, all_text[1])
        torch.testing.assert_close(image, all_image[2])
        assert nothing.tolist() == pytest.approx([0.5, 0.3, 0.2])
        assert (abs(float(both.sum()) - 1.0) < 1e-6) == softmax


def test_the_loss_is_of_the_confidences_that_are_served():
    """`log_shares` are the logarithms of `forward` and of what it leaves; the gradient of a modality that is
    not there is none, and no number is NaN."""
    for softmax in (True, False):
        head, given = fusion(softmax=softmax), embeddings(3)
        presence = torch.tensor([BOTH, TEXT, IMAGE])
        yes, no = head.log_shares(given, presence)
        confidences = head(given, presence)
        torch.testing.assert_close(yes.exp(), confidences)
        torch.testing.assert_close(no.exp(), 1 - confidences)
        yes[1].sum().backward()
        assert head.classifiers[Modality.IMAGE].weight.grad.abs().max() == 0
        assert head.classifiers[Modality.TEXT].weight.grad.abs().max() > 0


def test_losses_by_hand():
    """Confidences .5, .25, .25 for the first and third label: categorical -(log .5 + log .25) / 2, binary
    -(log .5 + log .75 + log .25); without a label the categorical loss is 0."""
    share = torch.tensor([[0.5, 0.25, 0.25]])
    logs = (share.log(), (1 - share).log())
    wanted = torch.tensor([[1.0, 0.0, 1.0]])
    assert categorical(logs, wanted).item() == pytest.approx(-(np.log(0.5) + np.log(0.25)) / 2)
    assert binary(logs, wanted).item() == pytest.approx(-np.log(0.5) - np.log(0.75) - np.log(0.25))
    assert categorical(logs, torch.zeros(1, 3)).item() == 0.0


def test_nothing_is_computed_for_what_an_item_lacks():
    """An absent modality's embedding is zeros, and its encoder sees the items that have it alone."""
    seen: list[int] = []
    encoder = gru()
    encoder.register_forward_hook(lambda module, given, result: seen.append(len(given[0])))
    head = LateFusion({Modality.TEXT: 6}, np.array([0.5, 0.5], np.float32), softmax=True)
    network = RecipeNetwork({Modality.TEXT: encoder}, head)
    inputs = {Modality.TEXT: torch.tensor([[2, 3], [2, 4], [0, 0]])}
    found = network.embeddings(inputs, torch.tensor([TEXT, TEXT, NOTHING]))[Modality.TEXT]
    assert seen == [2]
    assert found[2].abs().max() == 0
    assert found[0].abs().max() > 0
