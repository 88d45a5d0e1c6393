"""What a recipe's file may say, and what is said to who writes something else."""

from pathlib import Path

import pytest

from genrestream.schemas import Modality
from genrestream.training.errors import TrainingError
from genrestream.training.recipes.spec import Gru, Vgg16, load_recipe, parse_recipe, recipe_names

GOOD = """
name: mine
description: A test.
labels: softmax
branches:
  image: {network: vgg16, width: 0.1, image_px: 32}
"""


@pytest.mark.parametrize("name", ["podcast_vgg16_gru", "poster_vgg16"])
def test_the_recipes_of_the_package_are_valid(name):
    """Each is listed, carries its own name, and says its size and that of the published one in a line."""
    assert name in recipe_names()
    recipe = load_recipe(name)
    assert recipe.name == name
    assert "\n" not in recipe.describe()
    assert "VGG16 of width 0.125 on 64 px (published: 1 on 224)" in recipe.describe()


def test_branches_are_told_apart_by_their_network():
    """The podcast recipe has one of each kind; the poster recipe says what it lacks."""
    branches = load_recipe("podcast_vgg16_gru").branches
    assert {modality: type(branch) for modality, branch in branches.items()} == {
        Modality.IMAGE: Vgg16,
        Modality.TEXT: Gru,
    }
    assert load_recipe("poster_vgg16").not_yet == ("the text read from the poster, as a second branch",)


@pytest.mark.parametrize(
    ("changed", "to", "message"),
    [
        ("name: mine", "name: mine\nepoch: 3", "f.yaml: epoch: Extra inputs are not permitted"),
        (
            "width: 0.1",
            "width: 3",
            "f.yaml: branches.image.vgg16.width: Input should be less than or equal to 1",
        ),
        ("width: 0.1", "wide: 1", "f.yaml: branches.image.vgg16.wide: Extra inputs are not permitted"),
        ("image: {", "text: {", "f.yaml: the recipe: Value error, vgg16 hears image, not text"),
        ("vgg16", "resnet", "f.yaml: branches.image: Input tag 'resnet' found using 'network'"),
        ("image_px: 32", "weights: imagenet", "weights: imagenet are those of width 1"),
        ("image_px: 32", "trained_blocks: 2", "trained_blocks below 5 needs weights"),
        ("softmax", "[", "f.yaml is no YAML"),
        ("name: mine", "name: ../mine", "f.yaml: name: String should match pattern"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(changed, to, message):
    """File, key and fault, whatever is wrong."""
    with pytest.raises(TrainingError) as caught:
        parse_recipe(GOOD.replace(changed, to, 1).encode(), "f.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_recipe_is_read_from_a_file(tmp_path: Path):
    """By its path; a name that is neither a recipe's nor a file's is answered with the names there are, and a
    file of more than 64 KiB is not parsed."""
    file = tmp_path / "mine.yaml"
    file.write_text(GOOD)
    assert load_recipe(str(file)).name == "mine"
    with pytest.raises(TrainingError, match=r"no recipe 'mine': there are .*poster_vgg16"):
        load_recipe("mine")
    with pytest.raises(TrainingError, match=r"cannot read .*none\.yaml: No such file"):
        load_recipe(str(tmp_path / "none.yaml"))
    file.write_text(GOOD + "#" * 70_000)
    with pytest.raises(TrainingError, match="larger than 65536 bytes"):
        load_recipe(str(file))
