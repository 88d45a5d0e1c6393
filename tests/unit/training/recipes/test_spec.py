"""What a recipe's file may say, and what is said to who writes something else."""

from pathlib import Path

import pytest

from genrestream.schemas import Modality
from genrestream.training.errors import TrainingError
from genrestream.training.recipes.spec import Gru, Vgg16, load_recipe, parse_recipe, recipe_names
from genrestream.training.recipes.spec_audio import ElmoLstm, LogMelCnn, MfccCnn

PICTURES = """
name: mine
description: A test.
labels: softmax
branches:
  image: {network: vgg16, width: 0.1, image_px: 32}
"""
RECORDINGS = """
name: mine
description: A test.
labels: sigmoid
branches:
  audio: {network: mfcc_cnn, mel_bands: 26}
balance: {by_label: true}
"""


@pytest.mark.parametrize(
    ("name", "branches", "sizes"),
    [
        (
            "podcast_vgg16_gru",
            {Modality.IMAGE: Vgg16, Modality.TEXT: Gru},
            "VGG16 of width 0.125 on 64 px (published: 1 on 224)",
        ),
        (
            "poster_vgg16",
            {Modality.IMAGE: Vgg16},
            "VGG16 of width 0.125 on 64 px (published: 1 on 224)",
        ),
        (
            "poster_vgg16_text",
            {Modality.IMAGE: Vgg16, Modality.TEXT: Gru},
            "VGG16 of width 0.125 on 64 px (published: 1 on 224)",
        ),
        (
            "track_mfcc_cnn",
            {Modality.AUDIO: MfccCnn},
            "(published: 1) on 13 of 26 coefficients of 40 samples of 1 s",
        ),
        (
            "track_mfcc_cnn_published",
            {Modality.AUDIO: MfccCnn},
            "(published: 1) on 13 of 26 coefficients of 20 samples of 1 s",
        ),
        (
            "track_audio_lyrics",
            {Modality.AUDIO: LogMelCnn, Modality.TEXT: ElmoLstm},
            "(published: 2 x 4096 over characters)",
        ),
    ],
)
def test_the_recipes_of_the_package_are_valid(name, branches, sizes):
    """Each is listed under its own name, has the branches that it is made of, and says its size and that of
    the published one in a line."""
    assert name in recipe_names()
    recipe = load_recipe(name)
    assert recipe.name == name
    assert {modality: type(branch) for modality, branch in recipe.branches.items()} == branches
    assert "\n" not in recipe.describe()
    assert sizes in recipe.describe()


@pytest.mark.parametrize(
    ("good", "changed", "to", "message"),
    [
        (PICTURES, "name: mine", "name: mine\nepoch: 3", "f.yaml: epoch: Extra inputs are not permitted"),
        (
            PICTURES,
            "width: 0.1",
            "width: 3",
            "f.yaml: branches.image.vgg16.width: Input should be less than or equal to 1",
        ),
        (
            PICTURES,
            "width: 0.1",
            "wide: 1",
            "f.yaml: branches.image.vgg16.wide: Extra inputs are not permitted",
        ),
        (PICTURES, "image: {", "text: {", "f.yaml: the recipe: Value error, vgg16 hears image, not text"),
        (PICTURES, "vgg16", "resnet", "f.yaml: branches.image: Input tag 'resnet' found using 'network'"),
        (PICTURES, "image_px: 32", "weights: imagenet", "weights: imagenet are those of width 1"),
        (PICTURES, "image_px: 32", "trained_blocks: 2", "trained_blocks below 5 needs weights"),
        (PICTURES, "softmax", "[", "f.yaml is no YAML"),
        (PICTURES, "name: mine", "name: ../mine", "f.yaml: name: String should match pattern"),
        (RECORDINGS, "26", "12", "13 coefficients of 12 mel_bands"),
        (
            RECORDINGS,
            "26",
            "26, middle_s: 61",
            "branches.audio.mfcc_cnn.middle_s: Input should be less than or equal to",
        ),
        (RECORDINGS, "by_label", "by_chance", "balance.by_chance: Extra inputs are not permitted"),
        (
            RECORDINGS,
            "by_label: true",
            "most_per_pair: 0",
            "balance.most_per_pair: Input should be greater than",
        ),
        (RECORDINGS, "sigmoid", "softmax", "concatenated and balance are for labels: sigmoid"),
        (
            RECORDINGS,
            "labels: sigmoid",
            "labels: sigmoid\nthreshold: 1.0",
            "threshold: Input should be less than 1",
        ),
    ],
)
def test_what_is_wrong_is_named_in_one_line(good, changed, to, message):
    """File, key and fault, whatever is wrong."""
    with pytest.raises(TrainingError) as caught:
        parse_recipe(good.replace(changed, to, 1).encode(), "f.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_is_read_from_a_file(tmp_path: Path):
    """By its path; a name that is neither a recipe's nor a file's is answered with the names there are, and a
    file of more than 64 KiB is not parsed."""
    file = tmp_path / "mine.yaml"
    file.write_text(PICTURES)
    assert load_recipe(str(file)).name == "mine"
    with pytest.raises(TrainingError, match=r"no recipe 'mine': there are .*poster_vgg16"):
        load_recipe("mine")
    with pytest.raises(TrainingError, match=r"cannot read .*none\.yaml: No such file"):
        load_recipe(str(tmp_path / "none.yaml"))
    file.write_text(PICTURES + "#" * 70_000)
    with pytest.raises(TrainingError, match="larger than 65536 bytes"):
        load_recipe(str(file))
