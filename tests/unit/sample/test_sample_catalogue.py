"""The sample catalogue: its format, and that it is the same for the same seed."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from genrestream.sample import SET_NAMES, generate
from genrestream.sample.genres import kind_vocabulary, names
from genrestream.sample.plan import plan_item
from genrestream.sample.texts import write_texts
from genrestream.schemas import Kind, item_model
from genrestream.schemas.items import MEDIA_FIELDS

ITEMS = 12
SEED = 4


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sample")
    generate(directory, ITEMS, SEED)
    return directory


def items_of(sample: Path, kind: Kind) -> list[dict[str, Any]]:
    lines = (sample / SET_NAMES[kind] / "items.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("kind", list(Kind))
def test_every_line_is_an_item_of_its_kind(sample: Path, kind: Kind) -> None:
    """Each line is valid by the kind's schema, has a group, and one to three genres of the kind's."""
    items = items_of(sample, kind)
    assert len(items) == ITEMS
    assert len({item["id"] for item in items}) == ITEMS
    for item in items:
        parsed = item_model(kind).model_validate(item)
        assert parsed.kind is kind
        assert 1 <= len(item["labels"]["genres"]) <= 3
        assert set(item["labels"]["genres"]) <= set(kind_vocabulary(kind).genres)
        assert item["group"]


@pytest.mark.parametrize("kind", list(Kind))
def test_media_open_as_what_they_are(sample: Path, kind: Kind) -> None:
    """Every media path leads to a picture of at least 200 px or to a recording of 12 to 20 s."""
    folder = sample / SET_NAMES[kind]
    opened = 0
    for item in items_of(sample, kind):
        for field in MEDIA_FIELDS[kind].values():
            if item[field] is None:
                continue
            path = folder / item[field]
            opened += 1
            if field == "audio":
                with av.open(str(path)) as recording:
                    stream = recording.streams.audio[0]
                    samples = sum(frame.samples for frame in recording.decode(stream))
                    # Codecs pad the ends by up to a frame or two.
                    assert 11.9 <= samples / stream.rate <= 20.2
            else:
                with Image.open(path) as picture:
                    picture.load()
                    assert min(picture.size) >= 200
    assert opened >= ITEMS // 2


def test_the_same_seed_gives_the_same_bytes(sample: Path, tmp_path: Path) -> None:
    """A second run with the seed writes equal files; fewer items are a prefix; another seed differs."""
    generate(tmp_path / "again", ITEMS, SEED)
    generate(tmp_path / "fewer", ITEMS - 2, SEED)
    generate(tmp_path / "other", 1, SEED + 1)
    first = {path.relative_to(sample): path.read_bytes() for path in sample.rglob("*") if path.is_file()}
    again = tmp_path / "again"
    assert first == {p.relative_to(again): p.read_bytes() for p in again.rglob("*") if p.is_file()}
    for kind in Kind:
        assert items_of(tmp_path / "fewer", kind) == items_of(sample, kind)[: ITEMS - 2]
        assert items_of(tmp_path / "other", kind)[0] != items_of(sample, kind)[0]


def test_a_pool_makes_the_same_items_as_one_process(tmp_path: Path) -> None:
    """What comes from several processes (20 items and more) equals, line by line, what one process makes."""
    generate(tmp_path / "pool", 20, SEED)
    generate(tmp_path / "alone", 19, SEED)
    for kind in Kind:
        assert items_of(tmp_path / "pool", kind)[:19] == items_of(tmp_path / "alone", kind)


def test_every_item_has_something_to_go_by() -> None:
    """Of 3,000 plans a kind none lacks all modalities, and every modality is missing at times."""
    for kind in Kind:
        plans = [plan_item(kind, index, SEED) for index in range(3000)]
        assert all(plan.with_text or plan.with_image or plan.with_audio for plan in plans)
        assert any(not plan.with_image for plan in plans)
        if kind is not Kind.PODCAST:
            assert any(not plan.with_text for plan in plans)


def test_genres_show_in_the_texts_but_not_in_all_of_them() -> None:
    """Between 55 and 95 % of the descriptions hold a thing of their first genre: neither none nor all."""
    for kind in (Kind.EVENT, Kind.PODCAST):
        told = Counter[bool]()
        for index in range(500):
            plan = plan_item(kind, index, SEED)
            text = write_texts(plan)["description"]
            if text is not None and plan.script is None:
                things = kind_vocabulary(kind).genres[plan.genres[0]].things
                told[any(thing.lower() in text.lower() for thing in things)] += 1
        assert 0.55 < told[True] / told.total() < 0.95


def test_some_texts_are_in_other_scripts() -> None:
    """Cyrillic, Japanese and Greek all occur among 1,000 plans, in about 4 % of the items."""
    scripts = Counter(plan_item(Kind.PODCAST, index, SEED).script for index in range(1000))
    assert set(scripts) == {None, *names().scripts}
    assert 15 <= 1000 - scripts[None] <= 80


def test_related_genres_exist() -> None:
    """Every genre that another one names as related is a genre of the same kind, and tracks have sounds."""
    for kind in Kind:
        genres = kind_vocabulary(kind).genres
        for genre in genres.values():
            assert set(genre.related) <= set(genres)
            assert (genre.sound is not None) == (kind is Kind.TRACK)


@pytest.mark.parametrize(("items", "seed"), [(0, 1), (100_001, 1), (1, -1)])
def test_senseless_amounts_are_refused(tmp_path: Path, items: int, seed: int) -> None:
    """No items, too many, or a negative seed: an error that gives the value, and nothing written."""
    with pytest.raises(ValueError, match=r"is -?\d+, not (within 1|0 or more)"):
        generate(tmp_path, items, seed)
    assert not list(tmp_path.iterdir())
