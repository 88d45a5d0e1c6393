"""The parts of the evaluation report, each by hand."""

import resource
import wave
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genrestream.repository import GRAPH, Repository, RepositoryError
from genrestream.repository.layout import PAGE
from genrestream.repository.versions import add_candidate
from genrestream.training.bootstrap import drawn_share, group_draws, interval, interval_around
from genrestream.training.metrics import Predictions
from genrestream.training.report.media import CLIP_S, short_clip, thumbnail
from genrestream.training.report.mistakes import best_is_wrong, confidently_missed, confidently_wrong
from genrestream.training.report.pairs import confused, most_frequent, together, worst_pairs
from genrestream.training.report.words import shortened
from genrestream.workers.features.content import DEFAULT_LIMITS
from genrestream.workers.features.errors import UnreadableMedia
from genrestream.workers.features.recording import Recording

TRUTH = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [1, 0, 0]], np.bool_)
DECIDED = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 1, 0], [1, 0, 0], [1, 0, 0]], np.bool_)
CONFIDENCES = np.array(
    [[0.9, 0.8, 0.1], [0.7, 0.2, 0.1], [0.1, 0.9, 0.6], [0.3, 0.6, 0.2], [0.8, 0.4, 0.1], [0.9, 0.1, 0.1]]
)
PREDICTIONS = Predictions(CONFIDENCES, DECIDED)


def test_labels_together_by_hand():
    """One of the four items with label 0 has label 1 too, and one of the three with label 1 has label 0;
    label 2 is on no item and left out."""
    labels = most_frequent(TRUTH)
    assert labels.tolist() == [0, 1]
    assert together(TRUTH, labels) == pytest.approx(np.array([[np.nan, 1 / 4], [1 / 3, np.nan]]), nan_ok=True)


def test_confusion_by_hand():
    """Items 0, 2 and 5 have label 0 and not 1, two of them are given 1; items 3 and 4 have 1 and not 0, one
    is given 0. A pair needs five items to be named."""
    labels = most_frequent(TRUTH)
    found = confused(TRUTH, DECIDED, labels)
    assert found == pytest.approx(np.array([[np.nan, 2 / 3], [1 / 2, np.nan]]), nan_ok=True)
    names = ("zero", "one", "two")
    assert worst_pairs(TRUTH, DECIDED, names, labels) == []
    doubled = worst_pairs(np.tile(TRUTH, (2, 1)), np.tile(DECIDED, (2, 1)), names, labels)
    assert [(pair.there, pair.given, pair.times, pair.items) for pair in doubled] == [("zero", "one", 4, 6)]


def test_the_worst_mistakes_by_hand():
    """Each item once a list: item 2 is given two wrong labels and stands there with the surer one."""
    wrong = [(found.row, found.label, found.confidence) for found in confidently_wrong(TRUTH, PREDICTIONS)]
    assert wrong == [(2, 1, 0.9), (0, 1, 0.8), (4, 0, 0.8)]
    missed = [(found.row, found.label) for found in confidently_missed(TRUTH, PREDICTIONS)]
    assert missed == [(2, 0), (1, 1), (4, 1)]
    assert [(found.row, found.label) for found in best_is_wrong(TRUTH, PREDICTIONS)] == [(2, 1), (4, 0)]


def test_intervals_come_from_groups():
    """Two groups, one all right and one all wrong, can be drawn as 0, 1/2 or 1: the interval is all of it.
    Where nothing is known there is none."""
    groups = ["right"] * 50 + ["wrong"] * 50
    right = np.arange(100) < 50
    drawn = drawn_share(group_draws(groups, 0), right, np.ones(100))
    assert set(np.round(drawn, 6)) == {0.0, 0.5, 1.0}
    assert interval(drawn) == (0.0, 1.0)
    assert interval_around(0.5, drawn) == pytest.approx((0.0, 1.0), abs=0.05)
    assert interval(drawn_share(group_draws(groups, 0), right, np.zeros(100))) is None


def test_the_interval_of_a_leaning_figure_holds_it():
    """Draws from 0.60 to 0.70 of a figure of 0.55 say how far it spreads: 0.50 to 0.60, nearly; it
    stays under 1."""
    drawn = np.linspace(0.6, 0.7, 401)
    assert interval_around(0.55, drawn) == pytest.approx((0.5025, 0.5975))
    assert interval_around(0.99, drawn) == pytest.approx((0.9425, 1.0))
    assert interval_around(0.5, np.full(400, np.nan)) is None


def test_a_clip_is_six_seconds_of_the_middle():
    """Of 20 s with a tone in the middle third alone, the clip is tone throughout, and at most 40 KB."""
    rate_hz = 16_000
    times = np.arange(20 * rate_hz) / rate_hz
    tone = np.sin(2 * np.pi * 440 * times) * ((times > 6.5) & (times < 13.5)) * 0.5
    target = BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((tone * 32767).astype(np.int16).tobytes())
    clip = short_clip(target.getvalue())
    assert len(clip) < 40_000
    with Recording(clip, rate_hz, DEFAULT_LIMITS) as recording:
        assert recording.samples / rate_hz == pytest.approx(CLIP_S, abs=0.15)
        samples = recording.read(rate_hz // 2, 5 * rate_hz)
    loudness = np.sqrt(np.mean(samples.reshape(-1, 800) ** 2, axis=1))
    assert loudness.min() > 0.25


def test_a_thumbnail_stands_upright_and_keeps_its_shape():
    """A picture of 400 x 100 that is to be turned by 90 degrees is 50 wide and 200 high."""
    image = Image.new("RGB", (400, 100), "red")
    exif = image.getexif()
    exif[0x0112] = 6
    target = BytesIO()
    image.save(target, "PNG", exif=exif)
    found = Image.open(BytesIO(thumbnail(target.getvalue())))
    assert (found.format, found.size) == ("JPEG", (50, 200))
    with pytest.raises(UnreadableMedia, match="not a picture of a known format"):
        thumbnail(b"no picture")


def test_texts_are_cut_and_cleaned():
    """One line, no control characters, an ellipsis where it was cut."""
    assert shortened(" one\n\x00two\u202e ", 20) == "one two"
    assert shortened("a" * 30, 10) == "a" * 9 + "…"


def test_a_page_that_does_not_fit_leaves_no_candidate(tmp_path):
    """Files can be no larger than 64 KiB, as on a full disk: one line, and the repository is as before."""
    repository = Repository(Path(__file__).parents[3] / "triton_models")
    release = repository.releases("podcast-genres")[-1].model_copy(update={"model": "podcast-genres"})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, limits[1]))
    try:
        with pytest.raises(RepositoryError, match=r"cannot write .*run: File too large"):
            add_candidate(tmp_path, "run", {GRAPH: b"graph", PAGE: b"page" * 100_000}, release)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert left == []
    assert Repository(tmp_path).candidates("podcast-genres") == []
