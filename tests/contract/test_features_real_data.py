"""Real pictures, recordings and texts, where GENRESTREAM_DATA names a folder of catalogue sets."""

import json
import os
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from genrestream.schemas.features import AudioFeatures, HashedTextFeatures, ImageFeatures
from genrestream.workers.features.content import Content, FeaturePlan, HashedTerms
from genrestream.workers.features.extract import extract

DATA = os.environ.get("GENRESTREAM_DATA")
pytestmark = pytest.mark.skipif(DATA is None, reason="GENRESTREAM_DATA names no folder of catalogue sets")

PLAN = FeaturePlan((ImageFeatures(height_px=168, width_px=112), HashedTextFeatures(), AudioFeatures()), {})


def media(pattern: str) -> list[bytes]:
    paths = sorted(Path(DATA or "").glob(pattern))
    assert paths, f"no {pattern} in {DATA}"
    # An even sample of at most 60: the claim is about variety, not about volume.
    return [path.read_bytes() for path in paths[:: max(1, len(paths) // 60)]]


@pytest.mark.parametrize("pattern", ["screenings/posters/*.jpg", "originals/*.jpg"])
def test_real_posters_are_read(pattern: str) -> None:
    """Every one gives a picture with contrast."""
    for data in media(pattern):
        extraction = extract(Content((), data), PLAN)
        tensor = extraction.tensors[0]
        assert isinstance(tensor, np.ndarray), extraction.missing
        assert tensor.std() > 5


@pytest.mark.parametrize("pattern", ["tracks/audio/*.mp3", "songs/audio/*.mp3", "originals/*.mp3"])
def test_real_recordings_are_read(pattern: str) -> None:
    """Every one gives patches with sound in them, each patch another one."""
    for data in media(pattern):
        extraction = extract(Content((), None, data), PLAN)
        tensor = extraction.tensors[2]
        assert isinstance(tensor, np.ndarray), extraction.missing
        assert np.isfinite(tensor).all()
        assert tensor.max() > 0.5
        assert not np.array_equal(tensor[0], tensor[2])


def test_real_texts_have_terms() -> None:
    """Every podcast's title and description give terms, none more than the limit."""
    with (Path(DATA or "") / "podcasts" / "items.jsonl").open(encoding="utf-8") as lines:
        for line in islice(lines, 500):
            item = json.loads(line)
            texts = tuple(item[name] for name in ("title", "author", "description") if item[name])
            terms = extract(Content(texts), PLAN).tensors[1]
            assert isinstance(terms, HashedTerms)
            assert 1 <= len(terms.ids) <= 4096
