"""Examples are found below a folder; what is no catalogue item is one clear line."""

import json

import pytest
from PIL import Image

from genrestream.schemas import ImageFeatures
from genrestream.training.encoders.draft import EncoderError
from genrestream.training.encoders.examples import Examples, find_examples, picture_batch, spread


@pytest.fixture
def folder(tmp_path):
    """A catalogue set with two pictures, one of them broken, and a recording's name."""
    (tmp_path / "posters").mkdir()
    Image.new("RGB", (20, 30), "red").save(tmp_path / "posters" / "a.jpg")
    (tmp_path / "posters" / "b.png").write_bytes(b"no picture")
    (tmp_path / "c.mp3").write_bytes(b"")
    items = [
        {"kind": "event", "id": "1", "title": "Opera", "labels": {}, "group": "x"},
        {"kind": "event", "id": "2"},
    ]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    return tmp_path


def test_pictures_recordings_and_texts_are_found(folder):
    """By file name and from items.jsonl; an item without a text gives none."""
    assert find_examples(folder) == Examples(
        pictures=(folder / "posters" / "a.jpg", folder / "posters" / "b.png"),
        recordings=(folder / "c.mp3",),
        texts=(("Opera",),),
    )


def test_unreadable_pictures_are_left_out(folder):
    """One of two pictures is decoded; none at all is an error."""
    features = ImageFeatures(height_px=24, width_px=16)
    examples = find_examples(folder)
    batch = picture_batch(examples.pictures, features, 10)
    assert (batch.shape, batch.dtype) == ((1, 24, 16, 3), "uint8")
    with pytest.raises(EncoderError, match="no image to check the encoder with: none of 1 files"):
        picture_batch(examples.pictures[1:], features, 10)


@pytest.mark.parametrize("line", ["{", "[]", "3", '{"kind": "film", "id": "1"}', '{"kind": "event"}'])
def test_a_broken_items_file_is_named_with_its_line(folder, line):
    """The second line is the broken one."""
    (folder / "items.jsonl").write_text(f'{{"kind": "event", "id": "1"}}\n{line}\n')
    with pytest.raises(EncoderError, match=r"items\.jsonl:2 is no catalogue item"):
        find_examples(folder)


def test_a_missing_folder_is_named(tmp_path):
    """As given by the user."""
    with pytest.raises(EncoderError, match=r"no folder at .*absent"):
        find_examples(tmp_path / "absent")


def test_a_part_is_spread_over_the_whole():
    """Three of nine are every third; fewer than asked for are all."""
    assert spread(list(range(9)), 3) == [0, 3, 6]
    assert spread([1, 2], 5) == [1, 2]
