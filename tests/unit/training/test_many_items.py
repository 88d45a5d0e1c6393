"""What keeps the memory of a training small: items, embeddings and terms that stay on the disk."""

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from genrestream.schemas.items import Kind, Modality
from genrestream.training import split as splitting
from genrestream.training.catalogue import Catalogue, read_catalogue
from genrestream.training.disk_arrays import IN_MEMORY_BYTES, FieldsOnDisk, TermsOnDisk, zeros_on_disk
from genrestream.training.errors import TrainingError
from genrestream.training.groups import numbered, rows_of_some
from genrestream.training.head_rows import mean_and_deviation
from genrestream.training.split import Fold, assign_groups, split_by_group
from genrestream.workers.features.content import HashedTerms

TEXT_CHARS = 3_000
MOST_BYTES_AN_ITEM = 400


def write_set(folder: Path, items: int) -> Path:
    """Podcasts with long descriptions, every third with a cover."""
    folder.mkdir(parents=True)
    with (folder / "items.jsonl").open("w", encoding="utf-8") as file:
        for number in range(items):
            item = {"kind": "podcast", "id": f"p{number}", "title": f"Show {number}"}
            item |= {"description": f"{number} " * (TEXT_CHARS // (len(str(number)) + 1))}
            item |= {"cover": f"{number}.jpg"} if number % 3 == 0 else {}
            labels = {"genres": ["Jazz", "Rock"] if number % 2 else ["Rock"]}
            file.write(json.dumps({**item, "labels": labels, "group": f"g{number // 2}"}) + "\n")
    return folder


def kept_bytes(folder: Path) -> int:
    """What a catalogue keeps in memory."""
    tracemalloc.start()
    try:
        catalogue = read_catalogue([folder], Kind.PODCAST, "genres")
        assert len(catalogue.examples) > 0
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_texts_of_a_catalogue_stay_in_their_file(tmp_path):
    """Of each further item of 3,000 characters less than 400 bytes are kept."""
    few, many = write_set(tmp_path / "few", 200), write_set(tmp_path / "many", 1_200)
    kept_bytes(few)  # What is kept of the first catalogue of all, such as validators, is not an item's.
    assert (kept_bytes(many) - kept_bytes(few)) / 1_000 < MOST_BYTES_AN_ITEM


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return read_catalogue([write_set(tmp_path / "shows", 9)], Kind.PODCAST, "genres")


def test_examples_are_a_sequence(catalogue):
    """By index from either end, by slice and in turn they are the file's lines; beyond it is an error."""
    examples = catalogue.examples
    assert [example.item.id for example in examples] == [f"p{number}" for number in range(9)]
    assert [example.key for example in examples[2:8:3]] == ["shows/p2", "shows/p5"]
    last = examples[-1]
    assert (last.item.id, last.labels, last.group) == ("p8", ("Rock",), "g4")
    with pytest.raises(IndexError):
        examples[9]


def test_some_examples_with_other_labels(catalogue):
    """In the order asked for; modalities are counted over these alone."""
    some = catalogue.examples.only(np.array([6, 1]), [("Pop",), ("Folk",)])
    assert [(example.item.id, example.labels, example.group) for example in some] == [
        ("p6", ("Pop",), "g3"),
        ("p1", ("Folk",), "g0"),
    ]
    assert some.modalities() == {Modality.TEXT: 2, Modality.IMAGE: 1, Modality.AUDIO: 0}
    assert catalogue.modalities()[Modality.IMAGE] == 3


def test_a_file_that_changed_is_told(catalogue, tmp_path):
    """Cut short after it was read: one line that says where."""
    path = tmp_path / "shows" / "items.jsonl"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TrainingError, match=r"items\.jsonl, byte \d+: no JSON"):
        catalogue.examples[8]
    path.unlink()
    with pytest.raises(TrainingError, match=r"cannot read .*items\.jsonl: No such file"):
        catalogue.examples[0]


def test_terms_on_disk_are_those_that_were_given(tmp_path):
    """Item by item, those without any too; nothing is left in the folder."""
    terms = TermsOnDisk(tmp_path / "store")
    given = [([3, 7], [1.0, 2.0]), None, ([], []), ([5], [0.5])]
    for each in given:
        terms.append(each and HashedTerms(np.array(each[0], np.int32), np.array(each[1], np.float32)))
    rows = terms.rows(10)
    assert list((tmp_path / "store").iterdir()) == []
    assert rows.starts.tolist() == [0, 2, 2, 2, 3]
    ids, weights, starts = rows.flat(np.array([3, 0, 1]))
    assert (ids.tolist(), weights.tolist(), starts.tolist()) == ([5, 3, 7], [0.5, 1.0, 2.0], [0, 1, 3])
    assert rows.document_frequency(np.array([0, 3])).tolist() == [0, 0, 0, 1, 0, 1, 0, 1, 0, 0]
    assert len(TermsOnDisk(tmp_path).rows(10)) == 0


def test_texts_on_disk_are_those_that_were_given(tmp_path):
    """Item by item, in any order, those without any too; nothing is left in the folder, and none is none."""
    given = [("Jazz night", "doors 8 pm"), (), ("Für Élise \u2028 \ud800",), ("",)]
    fields = FieldsOnDisk(tmp_path / "store")
    for each in given:
        fields.append(each)
    texts = fields.all()
    assert list((tmp_path / "store").iterdir()) == []
    assert list(texts) == given
    assert (texts[2], texts[-1], texts[1:3]) == (given[2], given[3], given[1:3])
    with pytest.raises(IndexError):
        texts[4]
    assert list(FieldsOnDisk(tmp_path).all()) == []


def test_large_arrays_lie_on_the_disk(tmp_path, monkeypatch):
    """From 64 MiB on; both kinds are zeros and can be written. No room is one line."""
    small, large = zeros_on_disk((3, 2), np.float32), zeros_on_disk((IN_MEMORY_BYTES // 8 + 1, 2), np.float32)
    assert isinstance(large, np.memmap)
    assert not isinstance(small, np.memmap)
    large[5] = 2.0
    assert (large[:7].sum(), small.sum()) == (4.0, 0.0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(TrainingError, match=r"no room for 536 MB in .*nowhere: No such file"):
        zeros_on_disk((IN_MEMORY_BYTES, 2), np.float32)


def test_means_do_not_need_all_rows_at_once(monkeypatch):
    """Part by part they are those of the whole."""
    monkeypatch.setattr("genrestream.training.head_rows.ROWS_AT_ONCE", 7)
    rows = np.random.default_rng(0).normal(3, 2, (100, 4)).astype(np.float32)
    which = np.arange(10, 95)
    mean, deviation = mean_and_deviation(rows, which)
    np.testing.assert_allclose(mean, rows[which].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(deviation, rows[which].std(axis=0), rtol=1e-5)


def test_groups_are_numbered_by_name():
    """Ascending, as numpy would; one very long name costs the others nothing."""
    names, which = numbered(["b", "a", "b", "c" * 100_000])
    assert names == ["a", "b", "c" * 100_000]
    assert which.tolist() == [1, 0, 1, 2]


def test_folds_that_are_measured_on_stay_bounded(monkeypatch):
    """Of many items training gets the rest; of few every fold has its share as before."""
    monkeypatch.setattr(splitting, "MAX_MEASURED_ITEMS", 50)
    labels = np.random.default_rng(0).random((2_000, 3)) < 0.3
    split = split_by_group(labels, [str(row) for row in range(2_000)], 0)
    sizes = {fold: len(split[fold]) for fold in Fold}
    assert sizes == {Fold.TRAIN: 1_850, Fold.CALIBRATION: 50, Fold.THRESHOLD: 50, Fold.TEST: 50}
    few = split_by_group(labels[:300], [str(row) for row in range(300)], 0)
    assert [len(few[fold]) for fold in Fold] == [210, 30, 15, 45]


def test_many_groups_are_split_in_parts(monkeypatch):
    """Each part is stratified in itself, and so the whole: no fold differs from its share of a label by more
    than a few items, and no group is in two."""
    monkeypatch.setattr(splitting, "GROUPS_AT_ONCE", 100)
    rng = np.random.default_rng(1)
    groups = [str(number) for number in rng.integers(0, 1_000, 3_000)]
    labels = rng.random((3_000, 4)) < np.array([0.5, 0.2, 0.1, 0.05])
    folds = assign_groups(labels, groups, [0.7, 0.3], 0)
    held_out = labels[folds == 1].sum(axis=0)
    assert np.abs(held_out - 0.3 * labels.sum(axis=0)).max() < 12
    assert all(len({folds[row] for row in rows}) == 1 for rows in _rows_of(groups))


def _rows_of(groups: list[str]) -> list[list[int]]:
    rows: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        rows.setdefault(group, []).append(row)
    return list(rows.values())


def test_some_groups_of_many_are_drawn_whole():
    """Of 300 groups of 1 to 3 items at most 100 items: whole groups, as many as fit, the same each time;
    another seed draws others, and of fewer items all are taken."""
    groups = [f"g{number}" for number in range(300) for _ in range(1 + number % 3)]
    rows = rows_of_some(groups, 100, 0)
    assert 97 < len(rows) <= 100
    assert np.all(np.diff(rows) > 0)
    drawn = {groups[row] for row in rows}
    assert rows.tolist() == [row for row, group in enumerate(groups) if group in drawn]
    assert np.array_equal(rows, rows_of_some(groups, 100, 0))
    assert not np.array_equal(rows, rows_of_some(groups, 100, 1))
    assert len(rows_of_some(groups, 600, 0)) == len(groups) == 600
    assert rows_of_some(["big"] * 50, 10, 0).tolist() == list(range(50))
