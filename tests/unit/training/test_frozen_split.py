"""A frozen split used again: its folds, what it does not name, and each thing that can be wrong with it."""

import json
from pathlib import Path

import numpy as np
import pytest

from genrestream.training import frozen_split as module
from genrestream.training.errors import TrainingError
from genrestream.training.frozen_split import frozen_split, read_folds
from genrestream.training.split import Fold, split_by_group

KEYS = [f"shows/p{row}" for row in range(80)]
GROUPS = [f"g{row // 2}" for row in range(80)]
FOLDS = {"train": KEYS[:50], "calibration": KEYS[50:60], "threshold": KEYS[60:66], "test": KEYS[66:]}


def write(path: Path, folds: object) -> Path:
    path.write_text(folds if isinstance(folds, str) else json.dumps(folds), encoding="utf-8")
    return path


def test_a_split_that_is_written_and_read_is_the_same(tmp_path):
    """Every item has its fold of before, whatever order the sets come in."""
    labels = np.random.default_rng(0).random((80, 3)) < 0.4
    split = split_by_group(labels, GROUPS, seed=3)
    path = write(tmp_path / "split.json", {fold: [KEYS[row] for row in split[fold]] for fold in Fold})
    found = frozen_split(path, KEYS[::-1], GROUPS[::-1], GROUPS[::-1])
    assert found.counts() == {"items_not_named": 0, "items_not_there": 0}
    for fold in Fold:
        assert sorted(79 - row for row in found.split[fold]) == split[fold].tolist()


def test_items_that_it_does_not_name_go_with_their_cluster_or_to_train(tmp_path):
    """Three new items: one of a group of the test fold, a near-duplicate of a calibration item, and one that
    nothing is known of. One item of the file is gone."""
    keys = [*KEYS[1:], "shows/a", "shows/b", "shows/c"]
    groups = [*GROUPS[1:], "g39", "new", "other"]
    clusters = [*GROUPS[1:], "g39", "g25", "other"]
    found = frozen_split(write(tmp_path / "split.json", FOLDS), keys, groups, clusters)
    assert found.counts() == {"items_not_named": 3, "items_not_there": 1}
    assert [keys[row] for row in found.split[Fold.TEST]] == [*FOLDS["test"], "shows/a"]
    assert [keys[row] for row in found.split[Fold.CALIBRATION]] == [*FOLDS["calibration"], "shows/b"]
    assert [keys[row] for row in found.split[Fold.TRAIN]] == [*FOLDS["train"][1:], "shows/c"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no split: Expecting property name"),
        ("\ufeff[", "is no split: "),
        ("[" * 100_000, "is no split: "),
        ("[]", r"is no split: no object of \{fold: \[item, ...\]\}"),
        ({"train": "shows/p1"}, "is no split: no object of"),
        ({"train": [1]}, "is no split: no object of"),
        ({"training": ["shows/p1"]}, "training is none of the folds train, calibration, threshold, test"),
        ('{"train": ["shows/p1"], "train": []}', "a fold stands in it twice"),
        ({"train": ["shows/p1"], "test": ["shows/p1"]}, "shows/p1 is in the folds train and test"),
        ({"train": ["shows/p1", "shows/p1"]}, "shows/p1 is in the fold train twice"),
    ],
)
def test_what_is_no_split_is_refused(tmp_path, content, message):
    """With what is wrong, in one line that names the file."""
    with pytest.raises(TrainingError, match=rf"^{tmp_path}/split.json.*{message}") as refused:
        read_folds(write(tmp_path / "split.json", content))
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    """One that is not there, a folder, and one larger than the limit, which is not read further than that."""
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(TrainingError, match=f"no split at {path}: there is no such file"):
            read_folds(path)
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(TrainingError, match="is no split: longer than 100 bytes"):
        read_folds(write(tmp_path / "split.json", FOLDS))


def test_a_group_or_a_cluster_in_two_folds_is_refused(tmp_path):
    """A split by item, and one that was made before its near-duplicates were known."""
    path = write(tmp_path / "split.json", {**FOLDS, "train": KEYS[:49], "test": [*KEYS[66:], KEYS[49]]})
    wanted = "the group g24 is in the folds train and test, with the items shows/p48 and shows/p49"
    with pytest.raises(TrainingError, match=wanted):
        frozen_split(path, KEYS, GROUPS, GROUPS)
    joined = ["g0" if group == "g39" else group for group in GROUPS]
    wanted = (
        "a cluster of near-duplicates is in the folds train and test, with the items shows/p0 and shows/p78"
    )
    with pytest.raises(TrainingError, match=wanted):
        frozen_split(write(tmp_path / "split.json", FOLDS), KEYS, GROUPS, joined)


def test_a_split_of_other_sets_is_refused(tmp_path):
    """It names no item that is there, or leaves a fold without any."""
    path = write(tmp_path / "split.json", FOLDS)
    with pytest.raises(TrainingError, match="names none of the items of these sets, such as talks/p0"):
        frozen_split(path, ["talks/p0"], ["g0"], ["g0"])
    with pytest.raises(TrainingError, match="leaves no item of these sets in the fold test"):
        frozen_split(path, KEYS[:66], GROUPS[:66], GROUPS[:66])
