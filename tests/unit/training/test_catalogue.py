"""Reading catalogue sets."""

import json
import os
from pathlib import Path

import pytest

from genrestream.schemas import Kind, Modality
from genrestream.training.catalogue import MAX_LINE_BYTES, read_catalogue
from genrestream.training.contents import content_hash, named_modalities, read_content
from genrestream.training.errors import TrainingError

EVENT = {"kind": "event", "id": "a", "title": "Night", "labels": {"genres": ["Rock"]}, "group": "g"}


def write_set(folder: Path, *lines: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "items.jsonl").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return folder


def test_items_labels_and_groups_are_read(tmp_path):
    """An item without a group stands for itself, one without labels for the task is counted and left out,
    and labels are taken once each, blank ones not at all."""
    folder = write_set(
        tmp_path / "s",
        {**EVENT, "labels": {"genres": ["Rock", " Jazz ", " ", "Rock"]}},
        "",
        {"kind": "event", "id": "b", "title": "x", "labels": {"genres": ["Jazz"]}},
        {**EVENT, "id": "c", "labels": {"genres": []}},
        {**EVENT, "id": "d", "labels": {}},
        {**EVENT, "id": "e", "group": " "},
        {**EVENT, "id": "f", "group": 7},
    )
    catalogue = read_catalogue([folder], Kind.EVENT, "genres")
    assert [(it.item.id, it.labels, it.group, it.key) for it in catalogue.examples] == [
        ("a", ("Rock", "Jazz"), "g", "s/a"),
        ("b", ("Jazz",), "b", "s/b"),
        ("e", ("Rock",), "e", "s/e"),
        ("f", ("Rock",), "7", "s/f"),
    ]
    assert (catalogue.items_of_set, catalogue.unlabelled) == ({"s": 4}, 2)


def test_items_of_other_kinds_are_passed_over(tmp_path):
    """A set may hold several kinds."""
    folder = write_set(tmp_path / "s", EVENT, {**EVENT, "kind": "podcast"})
    assert len(read_catalogue([folder], Kind.PODCAST, "genres").examples) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"items\.jsonl:2: no JSON: "),
        ("[1]", r"items\.jsonl:2: no JSON object$"),
        ({**EVENT, "id": "b", "kind": "film"}, r":2: kind is 'film', none of event, podcast, track$"),
        ({**EVENT, "id": "b", "title": 5}, r":2: title: Input should be a valid string$"),
        ({**EVENT, "id": ""}, r":2: id: "),
        (EVENT, r":2: its id stands in line 1 already$"),
        ({**EVENT, "id": "b", "labels": ["Rock"]}, r":2: labels is no object"),
        ({**EVENT, "id": "b", "labels": {"genres": "Rock"}}, r":2: labels\.genres is no list of texts$"),
        ({**EVENT, "id": "b", "labels": {"genres": [5]}}, r":2: labels\.genres is no list of texts$"),
        ({**EVENT, "id": "b", "labels": {"genres": ["x" * 201]}}, r":2: labels\.genres has more than 1000"),
        ({**EVENT, "id": "b", "group": {"artist": "a"}}, r":2: group is no text of at most 1000"),
        ({**EVENT, "id": "b", "group": "x" * 1001}, r":2: group is no text of at most 1000"),
        ("9" * (MAX_LINE_BYTES + 1), r":2: longer than 4194304 bytes$"),
        ("[" * 100_000, r":2: no JSON"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    """The error says the file, the line and what is wrong, in one line."""
    folder = write_set(tmp_path / "s", EVENT, line)
    with pytest.raises(TrainingError, match=message) as error:
        read_catalogue([folder], Kind.EVENT, "genres")
    assert "\n" not in str(error.value)


def test_what_is_missing_is_said(tmp_path):
    """A folder without a set, a kind or a task that it does not have, two sets of one name."""
    folder = write_set(tmp_path / "s", EVENT)
    with pytest.raises(TrainingError, match=r"no catalogue set at .*nowhere: items\.jsonl is missing"):
        read_catalogue([tmp_path / "nowhere"], Kind.EVENT, "genres")
    with pytest.raises(TrainingError, match=r"no items of kind track in .*: found 1 of kind event"):
        read_catalogue([folder], Kind.TRACK, "genres")
    with pytest.raises(TrainingError, match="has labels for the task moods; tasks there: genres"):
        read_catalogue([folder], Kind.EVENT, "moods")
    other = write_set(tmp_path / "t" / "s", EVENT)
    with pytest.raises(TrainingError, match="two sets are called s"):
        read_catalogue([folder, other], Kind.EVENT, "genres")


def test_media_are_relative_to_the_set(tmp_path):
    """Relative paths and file:// are read; what is missing, outside the set, elsewhere or a pipe gives no
    bytes, what its owner links to does; only the modalities that are asked for are read."""
    folder = tmp_path / "my set"
    rows = [
        {**EVENT, "poster": "posters/a.jpg"},
        {**EVENT, "id": "b", "poster": (folder / "posters" / "a.jpg").as_uri()},
        {**EVENT, "id": "c", "poster": "posters/gone.jpg"},
        {**EVENT, "id": "d", "poster": "http://127.0.0.1:9/x.jpg"},
        {**EVENT, "id": "e", "poster": {"data": "aGk="}},
        {**EVENT, "id": "f", "poster": None},
        {**EVENT, "id": "g", "poster": "posters/pipe"},
        {**EVENT, "id": "h", "poster": "../elsewhere.jpg"},
        {**EVENT, "id": "i", "poster": (tmp_path / "elsewhere.jpg").as_uri()},
        {**EVENT, "id": "j", "poster": str(tmp_path / "elsewhere.jpg")},
        {**EVENT, "id": "k", "poster": "posters/../posters/link.jpg"},
    ]
    (tmp_path / "elsewhere.jpg").write_bytes(b"not of the set")
    write_set(folder, *rows)
    (folder / "posters").mkdir()
    (folder / "posters" / "a.jpg").write_bytes(b"picture")
    os.mkfifo(folder / "posters" / "pipe")
    (folder / "posters" / "link.jpg").symlink_to(tmp_path / "elsewhere.jpg")
    examples = read_catalogue([folder], Kind.EVENT, "genres").examples
    both = frozenset({Modality.TEXT, Modality.IMAGE})
    assert [read_content(it, both).image for it in examples] == [
        b"picture",
        b"picture",
        None,
        None,
        b"hi",
        None,
        None,
        None,
        None,
        None,
        b"not of the set",
    ]
    assert read_content(examples[0], frozenset({Modality.TEXT})).image is None
    assert [sorted(named_modalities(it.item)) for it in examples[4:6]] == [["image", "text"], ["text"]]


def test_equal_content_has_one_hash_and_other_content_another(tmp_path):
    """Two items with one picture share its hash; moving a word to the next field changes the text's."""
    first = {**EVENT, "title": "ab", "description": "c", "poster": {"data": "aGk="}}
    second = {**first, "id": "b", "title": "a", "description": "bc"}
    folder = write_set(tmp_path / "s", first, second)
    every = frozenset(Modality)
    one, two = (read_content(it, every) for it in read_catalogue([folder], Kind.EVENT, "genres").examples)
    assert content_hash(one, Modality.IMAGE) == content_hash(two, Modality.IMAGE)
    assert content_hash(one, Modality.TEXT) != content_hash(two, Modality.TEXT)
