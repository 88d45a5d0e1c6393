"""Near-duplicates: which pictures, texts and files are one, and the clusters that groups become."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from genrestream.schemas.items import Kind
from genrestream.training.catalogue import Example, read_catalogue
from genrestream.training.near_duplicates import find_clusters, media_hashes
from genrestream.training.near_duplicates.clusters import join_groups
from genrestream.training.near_duplicates.near_equal import MAX_LEADERS_A_KEY, near_equal_classes
from genrestream.training.near_duplicates.pictures import equal_pictures, picture_hash
from genrestream.training.near_duplicates.texts import MIN_SHINGLES, equal_texts, shingles
from genrestream.training.split import Fold, split_by_group
from tests.unit.training.dying import hash_or_die, refuse_to_hash
from tests.unit.training.posters import encoded, poster

TEXT = (
    "A retired detective returns to the harbour where she grew up, and finds that the lighthouse keeper's "
    "daughter has vanished on the very night that the old ferry burned."
)
BOILERPLATE = "Tickets at the door and online. Doors open one hour before the show starts."


def equal(texts: list[tuple[str, ...]]) -> list[list[int]]:
    return equal_texts(texts.__getitem__, len(texts))


def test_a_picture_in_another_form_is_the_same_picture():
    """Of twenty posters, each as JPEG, at half and double size, at low quality, as WebP and in grey: twenty
    classes, each of the six forms of one poster."""
    forms = []
    for seed in range(20):
        image = poster(seed)
        forms += [
            encoded(image),
            encoded(image, scale=0.5, quality=80),
            encoded(image, scale=2.0, quality=80),
            encoded(image, quality=30),
            encoded(image, "WEBP", quality=50),
            encoded(image.convert("L")),
        ]
    classes = equal_pictures(np.stack([picture_hash(data) for data in forms]))
    assert classes == [list(range(start, start + 6)) for start in range(0, 120, 6)]


def test_posters_on_one_background_are_different_pictures():
    """Forty posters of one series share their background and nothing else."""
    hashes = np.stack([picture_hash(encoded(poster(seed, background=7))) for seed in range(40)])
    assert equal_pictures(hashes) == []


@pytest.mark.parametrize("level", [0, 128, 255])
def test_blank_pictures_are_the_same_as_nothing(level):
    """One colour, or hardly more, has no hash; two of them are no near-duplicates."""
    rng = np.random.default_rng(level)
    grainy = np.clip(level + rng.normal(size=(90, 60, 3)) * 3, 0, 255).astype(np.uint8)
    hashes = np.stack(
        [
            picture_hash(encoded(Image.new("RGB", (60, 90), (level,) * 3))),
            picture_hash(encoded(Image.new("RGB", (60, 90), (level,) * 3))),
            picture_hash(encoded(Image.fromarray(grainy))),
        ]
    )
    assert not hashes.any()
    assert equal_pictures(hashes) == []


def test_a_text_with_a_typo_or_in_other_dress_is_the_same_text():
    """A letter, capitals, markup, accents, or a title of its own before it: one class. Other texts: none."""
    texts = [
        (TEXT,),
        (TEXT.replace("detective", "detectiv"),),
        (TEXT.upper(),),
        (f"<p>{TEXT.replace('old', 'óld')}</p>",),
        ("Burning Ferry", TEXT),
        ("A cook from the north opens a canteen for sailors and quarrels with the harbour master.",),
    ]
    assert equal(texts) == [[0, 1, 2, 3, 4]]


def test_texts_without_spaces_between_words_are_compared_too():
    """One character of a Japanese text changed: the same text."""
    signs = np.random.default_rng(0).integers(0x4E00, 0x9FA5, 300)
    text = "".join(chr(sign) for sign in signs)
    other = "".join(chr(sign) for sign in signs[::-1])
    assert equal([(text,), (text[:150] + "の" + text[151:],), (other,)]) == [[0, 1]]


def test_shared_boilerplate_is_no_shared_text():
    """Two descriptions that end in the same sentence are two."""
    one, other = f"{TEXT} {BOILERPLATE}", f"An evening of string quartets by young composers. {BOILERPLATE}"
    assert equal([(one,), (other,)]) == []


def test_short_texts_join_nothing_even_if_they_are_equal():
    """Fewer than 60 shingles, as "New episodes every Monday, subscribe now", and no text at all."""
    short = "New episodes every Monday, subscribe now wherever you listen"
    assert 0 < len(shingles((short,))) < MIN_SHINGLES
    assert equal([(short,), (short,), (), ()]) == []


def test_small_steps_are_no_chain():
    """Each row is near the next one; the classes reach no further than from their leader."""
    keys = np.ones((6, 1), np.uint64)
    assert near_equal_classes(keys, lambda one, other: abs(one - other) <= 1) == [[0, 1], [2, 3], [4, 5]]


def test_a_key_that_all_share_costs_no_square():
    """Of 2,000 rows under one key that all differ, each is compared with 32 at most."""
    calls = 0

    def near(one: int, other: int) -> bool:
        nonlocal calls
        calls += 1
        return False

    assert near_equal_classes(np.ones((2_000, 1), np.uint64), near) == []
    assert 0 < calls <= 2_000 * MAX_LEADERS_A_KEY


def test_groups_are_joined_over_classes():
    """a and b share a picture, b and c a text: one cluster, named by its first group; d stays by itself."""
    clusters = join_groups(["d", "c", "b", "b", "a"], [[2, 4], [1, 3]])
    assert clusters.names == ["d", "c", "c", "c", "c"]
    assert clusters.counts() == {"clusters": 1, "items": 4, "contents_left_apart": 0}


def test_a_class_within_a_group_joins_nothing():
    """It is no near-duplicate over groups, and is not counted as one."""
    clusters = join_groups(["a", "a", "b"], [[0, 1]])
    assert clusters.names == ["a", "a", "b"]
    assert clusters.counts() == {"clusters": 0, "items": 0, "contents_left_apart": 0}


def test_what_too_many_share_joins_nothing():
    """Of 1,000 groups of one item, 60 have one placeholder: more than the largest group's 1 and 50, 5 % of
    the items. It is left out whole and counted, while 40 that have another, and a pair, are joined."""
    groups = [f"g{row}" for row in range(1_000)]
    clusters = join_groups(groups, [list(range(60)), list(range(100, 140)), [58, 200]])
    assert clusters.counts() == {"clusters": 2, "items": 42, "contents_left_apart": 1}
    assert sorted(Counter(clusters.names).values())[-2:] == [2, 40]


def test_contents_that_hang_together_in_a_chain_end_at_the_limit():
    """400 pairs, each sharing an item with the next, would be one cluster of 401: none is larger than 51."""
    groups = [f"g{row}" for row in range(1_000)]
    clusters = join_groups(groups, [[row, row + 1] for row in range(400)])
    assert max(Counter(clusters.names).values()) <= 51
    assert clusters.left_apart > 0


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_cluster_is_in_two_folds(data):
    """Whatever is joined: groups stay whole, each class is in one cluster or left apart, no cluster outgrows
    the limit, and the split has each cluster in one fold."""
    count = data.draw(st.integers(60, 200))
    groups = [
        f"g{number}" for number in data.draw(st.lists(st.integers(0, 150), min_size=count, max_size=count))
    ]
    members = st.lists(st.integers(0, count - 1), min_size=2, max_size=8, unique=True)
    classes = data.draw(st.lists(members, max_size=15))
    clusters = join_groups(groups, classes)
    assert len(set(zip(groups, clusters.names, strict=True))) == len(set(groups))
    apart = sum(len({clusters.names[row] for row in rows}) > 1 for rows in classes)
    assert apart <= clusters.left_apart
    assert max(Counter(clusters.names).values()) <= max(Counter(groups).values()) + max(10, count // 20)
    if len(set(clusters.names)) < 20:
        return
    labels = np.random.default_rng(count).random((count, 3)) < 0.4
    split = split_by_group(labels, clusters.names, seed=0)
    folds = {(clusters.names[row], fold) for fold in Fold for row in split[fold]}
    assert len(folds) == len(set(clusters.names))


@pytest.fixture
def examples(tmp_path: Path) -> list[Example]:
    """Ten tracks, each its own group: 0 and 1 have one cover in two sizes, 2 and 3 one file of sound, 4 and 5
    one text, 6 and 7 a blank cover, 8 and 9 a damaged one."""
    folder = tmp_path / "tracks"
    folder.mkdir()
    covers = {row: encoded(poster(row)) for row in range(6)}
    covers[1] = encoded(poster(0), scale=0.6, quality=70)
    covers |= dict.fromkeys((6, 7), encoded(Image.new("RGB", (60, 90), (9, 9, 9))))
    covers |= dict.fromkeys((8, 9), b"no picture")
    lyrics = {4: TEXT, 5: TEXT.replace("vanished", "disappeared")}
    lines = []
    for row in range(10):
        (folder / f"{row}.jpg").write_bytes(covers[row])
        (folder / f"{row}.mp3").write_bytes(b"sound 2" if row == 3 else b"sound %d" % row)
        item = {"kind": "track", "id": f"p{row}", "title": f"Track {row}", "artist": "Somebody"}
        item |= {"cover": f"{row}.jpg", "audio": f"{row}.mp3", "lyrics": lyrics.get(row, "")}
        lines.append({**item, "labels": {"genres": ["Jazz"]}, "group": f"g{row}"})
    (folder / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return list(read_catalogue([folder], Kind.TRACK, "genres").examples)


JOINED = ["g0", "g0", "g2", "g2", "g4", "g4", "g6", "g7", "g8", "g9"]


def test_items_are_joined_by_picture_sound_and_text(examples, tmp_path):
    """Three clusters of two; what is blank or cannot be read joins nothing. Again it is the same."""
    first, again = (find_clusters(examples, tmp_path / "store") for _ in range(2))
    assert first.names == again.names == JOINED
    assert first.counts() == {"clusters": 3, "items": 6, "contents_left_apart": 0}


def test_picture_hashes_are_computed_once(examples, tmp_path, monkeypatch):
    """Eight covers, two of them one file: seven hashes; the second time none."""
    find_clusters(examples[:8], tmp_path / "store")
    monkeypatch.setattr(media_hashes, "hash_chunk", refuse_to_hash)
    with pytest.raises(RuntimeError, match="asked for 7 hashes"):
        find_clusters(examples[:8], tmp_path / "other")
    assert find_clusters(examples[:8], tmp_path / "store").names == JOINED[:8]


def test_a_decoder_that_dies_costs_one_hash(examples, tmp_path, monkeypatch):
    """The cover of one item ends its process: it has no hash, the others have theirs."""
    whole = media_hashes.media_hashes(examples, tmp_path / "whole").pictures
    monkeypatch.setattr(media_hashes, "hash_chunk", hash_or_die)
    found = media_hashes.media_hashes(examples, tmp_path / "store").pictures
    assert not found[1].any()
    rest = [row for row in range(10) if row != 1]
    assert np.array_equal(found[rest], whole[rest])
    assert whole[:6].any(axis=1).all()
