"""What the recipes of recordings may say."""

import pytest

from genrestream.schemas import Modality
from genrestream.training.errors import TrainingError
from genrestream.training.recipes.spec import load_recipe, parse_recipe, recipe_names
from genrestream.training.recipes.spec_audio import ElmoLstm, LogMelCnn, MfccCnn

GOOD = """
name: mine
description: A test.
labels: sigmoid
branches:
  audio: {network: mfcc_cnn, mel_bands: 26}
balance: {by_label: true}
"""


def test_the_recipes_of_the_package_are_valid():
    """Each is listed under its own name, with the branches that it is made of."""
    assert {"track_mfcc_cnn", "track_audio_lyrics"} <= set(recipe_names())
    mfcc, lyrics = load_recipe("track_mfcc_cnn"), load_recipe("track_audio_lyrics")
    assert {modality: type(branch) for modality, branch in mfcc.branches.items()} == {Modality.AUDIO: MfccCnn}
    assert {modality: type(branch) for modality, branch in lyrics.branches.items()} == {
        Modality.AUDIO: LogMelCnn,
        Modality.TEXT: ElmoLstm,
    }
    assert "(published: 1) on 13 of 26 coefficients of 40 samples of 1 s" in mfcc.describe()
    assert "(published: 2 x 4096 over characters)" in lyrics.describe()
    assert (mfcc.name, lyrics.name) == ("track_mfcc_cnn", "track_audio_lyrics")


@pytest.mark.parametrize(
    ("changed", "to", "message"),
    [
        ("26", "12", "13 coefficients of 12 mel_bands"),
        ("26", "26, middle_s: 61", "branches.audio.mfcc_cnn.middle_s: Input should be less than or equal to"),
        ("by_label", "by_chance", "balance.by_chance: Extra inputs are not permitted"),
        (
            "by_label: true",
            "most_per_pair: 0",
            "balance.most_per_pair: Input should be greater than",
        ),
        ("sigmoid", "softmax", "concatenated and balance are for labels: sigmoid"),
        ("labels: sigmoid", "labels: sigmoid\nthreshold: 1.0", "threshold: Input should be less than 1"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(changed, to, message):
    """File, key and fault, whatever is wrong."""
    with pytest.raises(TrainingError) as caught:
        parse_recipe(GOOD.replace(changed, to, 1).encode(), "f.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
