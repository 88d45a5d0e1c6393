"""The bytes of media on an item's way through the worker, and features that cannot be made at all."""

import asyncio
import base64
from collections.abc import Sequence

import pytest

from genrestream.schemas import (
    DeadLetter,
    InlineMedia,
    LabelRecord,
    MediaReference,
)
from genrestream.workers.budget import EXPECTED_MEDIUM_BYTES, MediaRoom
from genrestream.workers.errors import (
    FeaturesImpossibleError,
)
from genrestream.workers.features.content import Content, Extraction, FeaturePlan
from genrestream.workers.pipeline import Outcome
from tests.unit.workers.doubles import (
    Features,
    Media,
    Published,
)
from tests.unit.workers.test_pipeline import event, picture, pipeline, run


async def test_the_bytes_of_media_are_counted() -> None:
    """Claim: the metric holds the picture's size, once."""
    running = pipeline(Published())
    data = picture()
    await run(running, event(title="Night", poster={"data": data}))
    counted = running._metrics.registry.get_sample_value(
        "genrestream_media_bytes_total", {"modality": "image"}
    )
    assert counted == len(base64.b64decode(data))


class Impossible(Features):
    """A tokenizer file is gone."""

    async def extract(self, contents: Sequence[Content], plan: FeaturePlan) -> list[Extraction]:
        """None."""
        raise FeaturesImpossibleError("tokenizer.json cannot be read")


async def test_features_that_cannot_be_made_bury_no_item() -> None:
    """Claim: the error that stops the worker leaves the pipeline as it is; nothing is dead-lettered."""
    out = Published()
    with pytest.raises(FeaturesImpossibleError, match=r"tokenizer\.json cannot be read"):
        await run(pipeline(out, features=Impossible()), event(title="x"))
    assert (out.records, out.letters) == ([], [])


class InHand(Media, Published):
    """Media of 5 MiB each, counted from when they are read until their item's record is published."""

    def __init__(self) -> None:
        Published.__init__(self)
        self._picture = base64.b64decode(picture()) + bytes(5 * 2**20)
        self.now = self.most = 0

    async def fetch(self, media: MediaReference | InlineMedia) -> bytes:
        """A picture."""
        if isinstance(media, InlineMedia):
            return media.data
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        return self._picture

    async def publish(self, written: LabelRecord | DeadLetter) -> None:
        """Keep it."""
        assert isinstance(written, LabelRecord)
        self.now -= written.id.startswith("fetched")
        await Published.publish(self, written)


async def test_fetched_media_in_hand_are_bounded() -> None:
    """Claim: with room for four media that are read no more than four are there; all items are labelled."""
    counting = InHand()
    running = pipeline(counting, media=counting, media_room=MediaRoom(4 * EXPECTED_MEDIUM_BYTES))
    fetched = [event(f"fetched{n}", n, title="x", poster=f"http://pictures/{n}") for n in range(20)]
    others = [
        event("text", 20, title="x"),
        event("inline", 21, title="x", poster={"data": picture()}),
    ]
    assert await run(running, *fetched, *others) == [Outcome.LABELLED] * 22
    assert all(record.modalities_missing == () for record in counting.records if record.id != "text")
    # A second one may begin to be read between an item's scoring and its publishing.
    assert 1 < counting.most <= 8
