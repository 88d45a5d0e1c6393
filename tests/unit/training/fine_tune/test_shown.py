"""What training shows of texts, pictures and sound, and in which order."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.schemas import Modality  # noqa: E402
from genrestream.training.fine_tune.shown import by_length, shown_of  # noqa: E402
from genrestream.training.recipes.augment import augmented  # noqa: E402
from genrestream.training.recipes.data import RecipeRows  # noqa: E402


def test_a_tenth_of_the_tokens_is_left_out_and_never_the_first():
    """What is left out is as if it were padding, whatever the padding's id is; the rest is as it was."""
    ids = torch.randint(5, 100, (200, 20))
    shown = shown_of(Modality.TEXT, pad_id=1)({Modality.TEXT: ids}, np.random.default_rng(0))[Modality.TEXT]
    left_out = shown != ids
    assert not left_out[:, 0].any()
    assert set(shown[left_out].tolist()) == {1}
    assert left_out[:, 1:].float().mean().item() == pytest.approx(0.1, abs=0.02)


def test_sound_is_as_much_louder_everywhere_and_silence_stays():
    """A gain a recording of at most 2 dB."""
    patches = torch.rand((8, 3, 10, 4)) + 1.0
    patches[:, 0] = 0.0
    shown = shown_of(Modality.AUDIO, 0)({Modality.AUDIO: patches}, np.random.default_rng(0))[Modality.AUDIO]
    gains = (shown - patches)[:, 1:]
    assert shown.dtype == torch.float32
    assert (shown[:, 0] == 0).all()
    torch.testing.assert_close(gains, gains[:, :1, :1, :1].expand_as(gains), atol=1e-5, rtol=0)
    assert 0.05 < gains.abs().max() <= 0.2 + 1e-5
    assert len(gains[:, 0, 0, 0].unique()) == 8


def test_pictures_keep_their_shape_and_are_cut_out_by_chance():
    """Each shows a part of at least 85 % of either side: of a picture whose columns grow from 0 to 250, the
    first and the last column shown are the bounds of the part."""
    columns = torch.arange(0, 255, 5, dtype=torch.uint8)
    pictures = columns[None, None, :, None].repeat(64, 40, 1, 3)
    shown = augmented(pictures, np.random.default_rng(0), flip=False, rotation_deg=0.0, crop_share=0.15)
    assert shown.shape == pictures.shape
    first, last = shown[:, 20, 0, 0], shown[:, 20, -1, 0]
    assert ((last - first) / 250).min() > 0.84
    assert ((last - first) / 250).max() <= 1.0
    assert first.max() > 10
    assert last.min() < 240
    whole = augmented(pictures, np.random.default_rng(0), flip=False, rotation_deg=0.0)
    torch.testing.assert_close(whole, pictures.float(), atol=0.01, rtol=0)


def test_texts_of_like_length_are_shown_together():
    """Every row once, ascending in length within a window of eight and by chance over windows; another epoch
    shows another order."""
    rows, lengths = np.arange(100, 124), np.random.default_rng(1).permutation(24)
    draw, rng = by_length(rows, lengths, window=8), np.random.default_rng(0)
    first, second = draw(rng), draw(rng)
    assert sorted(first) == rows.tolist()
    found = lengths[first - 100].reshape(3, 8)
    assert (np.diff(found, axis=1) > 0).all()
    assert not (np.diff(found.ravel()) > 0).all()
    assert first.tolist() != second.tolist()


def test_a_batch_of_texts_ends_at_its_padding_whatever_its_id():
    """Three tokens of eight, where padding is 1; an item without a text is padding."""
    kept = np.full((2, 8), 1, np.int32)
    kept[0, :3], kept[1, :1] = [0, 5, 6], [0]
    places = {Modality.TEXT: np.array([1, -1, 0])}
    rows = RecipeRows({Modality.TEXT: kept}, places, np.ones((3, 3), np.float32), 0, pad_id=1)
    batch = rows.batch(np.array([0, 1, 2]), "cpu")[Modality.TEXT]
    assert batch.tolist() == [[0, 1, 1], [1, 1, 1], [0, 5, 6]]
