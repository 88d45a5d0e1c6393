"""What the demo publishes: the division of real sets, the order, the broken items."""

import json
from pathlib import Path

import pytest

from genrestream.client.publisher import Message
from genrestream.demo.bad_items import Planned, bad_items
from genrestream.demo.errors import DemoError
from genrestream.demo.held_out import RealSet, divide
from genrestream.demo.journal import Expected
from genrestream.demo.programme import ItemSet, in_turn, read_set
from genrestream.schemas import Kind, Modality
from genrestream.training.catalogue import read_catalogue
from genrestream.training.contents import read_content

EVENTS = RealSet("shows", Kind.EVENT, held_out_share=0.3)


def write_set(data: Path, items: int) -> None:
    (data / "shows").mkdir(parents=True)
    lines = [
        json.dumps(
            {"kind": "event", "id": f"e{n}", "title": "t", "poster": f"p/{n}.jpg", "group": f"g{n // 3}"}
            | {"labels": {"genres": ["Techno"]}}
        )
        for n in range(items)
    ]
    (data / "shows" / "items.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def items_in(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "items.jsonl").read_text("utf-8").splitlines()]


def test_no_group_is_in_both_parts(tmp_path: Path) -> None:
    """Of 600 items in 200 groups every one is in exactly one part, its group with it, about 30 % held out."""
    write_set(tmp_path / "data", 600)
    parts = divide(EVENTS, tmp_path / "data", tmp_path / "out")
    train, held_out = items_in(parts.train), items_in(parts.held_out)
    assert (len(train), len(held_out)) == (parts.train_items, parts.held_out_items)
    assert sorted(item["id"] for item in train + held_out) == sorted(f"e{n}" for n in range(600))
    assert {item["group"] for item in train}.isdisjoint(item["group"] for item in held_out)
    assert 120 <= len(held_out) <= 240


def test_media_stay_where_they_are(tmp_path: Path) -> None:
    """Held-out items name the set's own files, absolutely. Training finds them in the part itself, as it has
    to: each poster is read. Dividing again, in the same folder too, gives the same bytes."""
    write_set(tmp_path / "data", 30)
    posters = tmp_path / "data/shows/p"
    posters.mkdir()
    for number in range(30):
        (posters / f"{number}.jpg").write_bytes(b"poster %d" % number)
    parts = divide(EVENTS, tmp_path / "data", tmp_path / "out")
    held_out = items_in(parts.held_out)
    assert held_out
    assert all(item["poster"] == str(posters / f"{item['id'][1:]}.jpg") for item in held_out)
    examples = read_catalogue([parts.train], Kind.EVENT, "genres").examples
    assert len(examples) == parts.train_items > 0
    for example in examples:
        image = read_content(example, frozenset({Modality.IMAGE})).image
        assert image == b"poster %s" % example.item.id[1:].encode()
    for folder in ("again", "out"):
        assert divide(EVENTS, tmp_path / "data", tmp_path / folder).fingerprint == parts.fingerprint


def test_a_broken_set_is_named_by_file_and_line(tmp_path: Path) -> None:
    """One line that says where."""
    write_set(tmp_path / "data", 1)
    path = tmp_path / "data/shows/items.jsonl"
    path.write_text(path.read_text("utf-8") + "{broken\n", encoding="utf-8")
    with pytest.raises(DemoError, match=rf"^{path}:2: no JSON"):
        divide(EVENTS, tmp_path / "data", tmp_path / "out")


def test_items_are_judged_on_the_task_that_learnt_them(tmp_path: Path) -> None:
    """The truth comes from the set's key, the task is the served one, and the message carries no labels."""
    write_set(tmp_path, 1)
    item_set = ItemSet(tmp_path / "shows/items.jsonl", Kind.EVENT, "genres", "song-genres")
    (planned,) = read_set(item_set)
    assert planned.item == Expected(Kind.EVENT, "e0", "t", "song-genres", frozenset({"Techno"}))
    assert planned.message.key == b"e0"
    assert b"Techno" not in (planned.message.value or b"")


def test_sets_take_turns_evenly() -> None:
    """Four of one set and two of another: a b a a b a, the small set spread over the whole."""

    def planned(name: str) -> Planned:
        return Planned(Message("catalog.events", b"", None), Expected(Kind.EVENT, name, name))

    turns = in_turn([[planned("a")] * 4, [planned("b")] * 2])
    assert "".join(each.item.item_id for each in turns) == "abaaba"


def test_broken_items_have_keys_of_their_own(tmp_path: Path) -> None:
    """Each can be told apart when it comes back; all but one name files below the media root."""
    planned = bad_items(tmp_path)
    keys = [each.message.key.decode() for each in planned]
    assert len(set(keys)) == len(keys)
    assert keys == [each.item.item_id for each in planned]
    outside = [each for each in planned if b"file:///etc/" in (each.message.value or b"")]
    assert [each.item.item_id for each in outside] == ["demo-forbidden-poster"]
