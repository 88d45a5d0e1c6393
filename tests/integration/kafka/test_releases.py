"""Workers follow the announcements: what is live, what waits and why, from a real topic."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from genrestream.repository import Repository
from genrestream.schemas import (
    EncoderRecord,
    EncoderReference,
    FeatureSpec,
    HashedTextFeatures,
    Kind,
    Modality,
    Release,
    ReleaseAction,
    ReleaseAnnouncement,
    TextFeatures,
)
from genrestream.schemas.releases import release_key
from genrestream.workers import releases
from genrestream.workers.errors import KafkaUnavailableError
from genrestream.workers.metrics import WorkerMetrics
from genrestream.workers.producer import KafkaProducer
from genrestream.workers.releases import ReleaseFollower
from genrestream.workers.retries import Backoff

pytestmark = pytest.mark.stack

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DEADLINE_S = 60


def release(version: int, task: str = "genres", **changes: Any) -> Release:
    features = changes.pop("features", FeatureSpec(hashed_text=HashedTextFeatures()))
    fields: dict[str, Any] = {
        "kind": Kind.TRACK,
        "task": task,
        "model": f"track-{task}",
        "version": version,
        "labels": ("a", "b"),
        "thresholds": (0.5, 0.5),
        "taxonomy": "t",
        "taxonomy_version": 1,
        "features": features,
        "feature_hash": features.spec_hash,
        "encoders": {},
        "modalities": (Modality.TEXT,),
        "checksums": {},
        "created_at": NOON,
    }
    return Release(**(fields | changes))


class Announcements:
    """A topic of releases of its own, and a Triton of which one says what it serves."""

    def __init__(self, bootstrap: str, producer: KafkaProducer, topic: str, models: Path) -> None:
        self.topic = topic
        self.served: set[tuple[str, int]] = set()
        self.faults: list[BaseException] = []
        """Raised instead of the next answers of Triton, one each."""
        self.metrics = WorkerMetrics("test")
        self.repository = Repository(models)
        self._bootstrap = bootstrap
        self._producer = producer

    async def announce(self, *releases: Release) -> None:
        for one in releases:
            announcement = ReleaseAnnouncement(action=ReleaseAction.RELEASE, release=one, announced_at=NOON)
            await self.write(release_key(one.kind, one.task), announcement.model_dump_json().encode())

    async def write(self, key: str, value: bytes | None) -> None:
        await self._producer.deliver(self.topic, key.encode(), value, [])

    async def _is_ready(self, model: str, version: int) -> bool:
        if self.faults:
            raise self.faults.pop()
        return (model, version) in self.served

    def follower(self) -> ReleaseFollower:
        return ReleaseFollower(
            self._bootstrap, self.repository, self._is_ready, self.metrics, topic=self.topic
        )

    def shown(self, name: str) -> list[str]:
        lines = generate_latest(self.metrics.registry).decode().splitlines()
        return sorted(line for line in lines if line.startswith(f"{name}{{"))


@pytest.fixture
def announcements(
    bootstrap: str, producer: KafkaProducer, make_topic: Callable[..., str], tmp_path: Path
) -> Announcements:
    return Announcements(bootstrap, producer, make_topic(), tmp_path)


def live(follower: ReleaseFollower) -> dict[str, tuple[int, int]]:
    """Version and sequence by task."""
    found = follower.live(Kind.TRACK)
    return {one.release.task: (one.release.version, one.sequence) for one in found.releases} if found else {}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)


async def test_the_newest_announcements_are_live_once_entered(announcements: Announcements) -> None:
    """Of several announcements of a task the last one counts, its offset being the sequence."""
    announcements.served = {("track-genres", 1), ("track-genres", 2), ("track-moods", 1)}
    await announcements.announce(release(1), release(1, "moods"), release(2), release(1))
    async with announcements.follower() as follower:
        assert live(follower) == {"genres": (1, 3), "moods": (1, 1)}
        assert follower.live(Kind.EVENT) is None
        assert follower.pending == ()
    assert announcements.shown("genrestream_release_live") == [
        'genrestream_release_live{kind="track",model="track-genres",task="genres",version="1"} 1.0',
        'genrestream_release_live{kind="track",model="track-moods",task="moods",version="1"} 1.0',
    ]


async def test_a_release_and_a_rollback_are_followed(announcements: Announcements) -> None:
    """New announcements go live while the worker runs, also that of an older version."""
    announcements.served = {("track-genres", 1), ("track-genres", 2)}
    await announcements.announce(release(1))
    async with announcements.follower() as follower:
        await announcements.announce(release(2))
        await until(lambda: live(follower) == {"genres": (2, 1)})
        await announcements.announce(release(1))
        await until(lambda: live(follower) == {"genres": (1, 2)})


async def test_catching_up_waits_for_what_is_announced(announcements: Announcements) -> None:
    """Who has caught up labels by the newest release, whatever was announced just before."""
    announcements.served = {("track-genres", version) for version in range(1, 6)}
    async with announcements.follower() as follower:
        await follower.catch_up()
        for version in range(1, 6):
            await announcements.announce(release(version))
            await follower.catch_up()
            assert live(follower) == {"genres": (version, version - 1)}


@pytest.mark.parametrize("fault", [RuntimeError("a fault"), asyncio.CancelledError()], ids=repr)
async def test_what_could_not_be_applied_is_applied_later(
    announcements: Announcements, monkeypatch: pytest.MonkeyPatch, fault: BaseException
) -> None:
    """Claim: an announcement that was read is not lost with the attempt to apply it, nor with a request that
    aiokafka cancels, and who catches up does not wait for ever.
    """
    monkeypatch.setattr(releases, "RETRY", Backoff(first_s=0.01, longest_s=0.02))
    announcements.served = {("track-genres", 1), ("track-genres", 2)}
    await announcements.announce(release(1))
    async with announcements.follower() as follower, asyncio.timeout(DEADLINE_S):
        announcements.faults = [fault]
        await announcements.announce(release(2))
        await follower.catch_up()
        assert live(follower) == {"genres": (2, 1)}
        assert announcements.faults == []


async def test_what_triton_does_not_serve_waits(announcements: Announcements) -> None:
    """The old version stays live, the gauge and the reason tell of the waiting, and then it is over."""
    announcements.served = {("track-genres", 1)}
    await announcements.announce(release(1))
    async with announcements.follower() as follower:
        await announcements.announce(release(2))
        await until(lambda: follower.pending != ())
        assert live(follower) == {"genres": (1, 0)}
        assert follower.pending == ("track genres: Triton does not serve track-genres version 2",)
        assert announcements.shown("genrestream_release_pending") == [
            'genrestream_release_pending{kind="track",task="genres"} 1.0'
        ]
        announcements.served.add(("track-genres", 2))
        await until(lambda: live(follower) == {"genres": (2, 1)})
        await until(lambda: follower.pending == ())
        assert announcements.shown("genrestream_release_pending") == [
            'genrestream_release_pending{kind="track",task="genres"} 0.0'
        ]


async def test_a_null_value_retires_a_task(announcements: Announcements) -> None:
    """A task that is taken back stops, the others go on; after the last one nothing is live. Removals still
    know of it."""
    announcements.served = {("track-genres", 1), ("track-moods", 1)}
    await announcements.announce(release(1), release(1, "moods"))
    async with announcements.follower() as follower:
        await announcements.write("track:genres", None)
        await until(lambda: live(follower) == {"moods": (1, 1)})
        assert follower.tasks(Kind.TRACK) == ("genres", "moods")
        assert follower.tasks(Kind.EVENT) == ()
        await announcements.write("track:moods", None)
        await until(lambda: follower.live(Kind.TRACK) is None)
    async with announcements.follower() as follower:
        assert follower.tasks(Kind.TRACK) == ("genres", "moods")
    assert announcements.shown("genrestream_release_live") == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "Invalid JSON"),
        (b'{"action": "release"}', "release: Field required"),
        (
            ReleaseAnnouncement(action=ReleaseAction.RELEASE, release=release(1, "moods"), announced_at=NOON)
            .model_dump_json()
            .encode(),
            "it is of track moods",
        ),
    ],
    ids=["malformed", "incomplete", "wrong key"],
)
async def test_an_unreadable_announcement_changes_nothing(
    announcements: Announcements, value: bytes, reason: str
) -> None:
    """What runs stays, the reason is told in one line, and the next announcement ends it."""
    announcements.served = {("track-genres", 1), ("track-genres", 2)}
    await announcements.announce(release(1))
    async with announcements.follower() as follower:
        await announcements.write("track:genres", value)
        await until(lambda: follower.pending != ())
        [told] = follower.pending
        assert told.startswith(f"announcement 1 of 'track:genres' cannot be read: {reason}")
        assert "\n" not in told
        assert live(follower) == {"genres": (1, 0)}
        await announcements.announce(release(2))
        await until(lambda: live(follower) == {"genres": (2, 2)})
        assert follower.pending == ()


def text_head(tokenizer: bytes, repository: Repository) -> Release:
    """A head over a text encoder that lies in the repository with this tokenizer."""
    from hashlib import sha256

    features = TextFeatures(
        tokenizer="tokenizer.json", tokenizer_sha256=sha256(tokenizer).hexdigest(), max_tokens=32
    )
    record = EncoderRecord(
        model="text-test",
        version=1,
        modality=Modality.TEXT,
        features=features,
        embedding_dim=4,
        source="test",
        licence="none",
        checksums={},
        created_at=NOON,
    )
    repository.add_encoder({"model.onnx": b"graph", "tokenizer.json": tokenizer}, record)
    return release(
        1,
        features=FeatureSpec(text=features),
        encoders={Modality.TEXT: EncoderReference(model="text-test", version=1, embedding_dim=4)},
    )


async def test_files_that_are_not_those_of_the_release_keep_it_waiting(announcements: Announcements) -> None:
    """A tokenizer that was changed on this machine would give other tokens than the head was trained with."""
    announced = text_head(b"{}", announcements.repository)
    announcements.served = {("track-genres", 1), ("text-test", 1)}
    folder = announcements.repository.version_dir("text-test", 1)
    (folder / "tokenizer.json").write_bytes(b"[]")
    await announcements.announce(announced)
    async with announcements.follower() as follower:
        assert follower.live(Kind.TRACK) is None
        assert "tokenizer.json" in follower.pending[0]
        (folder / "tokenizer.json").write_bytes(b"{}")
        await until(lambda: live(follower) == {"genres": (1, 0)})
        found = follower.live(Kind.TRACK)
        assert found is not None
        assert list(found.plan.tokenizers.values()) == [str(folder / "tokenizer.json")]


async def test_an_encoder_is_verified_once(
    announcements: Announcements, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claim: the files of an encoder, gigabytes perhaps, are hashed once and not for each head or attempt."""
    verified: list[tuple[str, int]] = []
    verify = announcements.repository.verify

    def counting(model: str, version: int) -> None:
        verify(model, version)
        verified.append((model, version))

    monkeypatch.setattr(announcements.repository, "verify", counting)
    head = text_head(b"{}", announcements.repository)
    moods = head.model_copy(update={"task": "moods", "model": "track-moods"})
    announcements.served = {("track-genres", 1), ("track-moods", 1), ("text-test", 1)}
    await announcements.announce(head, moods)
    async with announcements.follower() as follower:
        assert live(follower) == {"genres": (1, 0), "moods": (1, 1)}
    assert verified == [("text-test", 1)]


async def test_without_kafka_or_its_topic_it_says_so(announcements: Announcements, bootstrap: str) -> None:
    """Who starts without them reads one line."""

    def entering(address: str, topic: str) -> Awaitable[ReleaseFollower]:
        made = ReleaseFollower(
            address, announcements.repository, announcements._is_ready, WorkerMetrics("1"), topic=topic
        )
        return made.__aenter__()

    with pytest.raises(KafkaUnavailableError, match=r"^no Kafka broker answers at 127\.0\.0\.1:1$"):
        await entering("127.0.0.1:1", announcements.topic)
    expected = f"^cannot read nowhere from Kafka at {bootstrap}: there is no such topic$"
    with pytest.raises(KafkaUnavailableError, match=expected):
        await entering(bootstrap, "nowhere")
