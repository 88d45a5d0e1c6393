"""An item's way through the worker, step by step; nothing that an item holds makes it raise.

decode -> gather media, read the picture -> features, encode, fuse (in micro-batches) -> decide -> publish.
What was labelled with the same content by the same releases goes from decoding to publishing at once.
A replay goes on after decoding only if no newer version of its item has come meanwhile.
What may pass is tried again, what cannot be labelled becomes a dead letter.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from genrestream.schemas import (
    DeadLetter,
    DeadLetterCode,
    Item,
    Kind,
    LabelRecord,
    Modality,
    Revision,
)
from genrestream.schemas.headers import earlier_attempts
from genrestream.schemas.topics import KIND_OF_TOPIC, MAX_ITEM_BYTES
from genrestream.workers.batches import MicroBatcher
from genrestream.workers.breaker import BreakerLimits, BreakerOpenError, Breakers
from genrestream.workers.budget import HeldMedia, MediaRoom
from genrestream.workers.earlier import answer_again, content_hash
from genrestream.workers.errors import (
    DeliveryImpossibleError,
    InferenceRejected,
    InferenceUnavailable,
    Rejected,
)
from genrestream.workers.features.content import Content, Extraction
from genrestream.workers.gather import Gathered, gather, references
from genrestream.workers.intake import Arrived, Incoming, Removal, Replay, place_of, take_in
from genrestream.workers.live import LiveKind
from genrestream.workers.metrics import Retried, WorkerMetrics
from genrestream.workers.observe import Stage, Timer
from genrestream.workers.ordering import Turn
from genrestream.workers.protocols import (
    DeadLetters,
    Earlier,
    EmbeddingStore,
    Features,
    Inference,
    Labels,
    Media,
    NothingEarlier,
    NothingKept,
    NothingRead,
    PictureTexts,
    Releases,
    Versions,
)
from genrestream.workers.read_pictures import with_picture_text
from genrestream.workers.records import Origin, label_records, nothing_left
from genrestream.workers.retries import Backoff
from genrestream.workers.score import Scored, score
from genrestream.workers.shared_embeddings import SharedMedia
from genrestream.workers.together import together

log = logging.getLogger(__name__)

TRITON_BREAKER = BreakerLimits(failures=3, first_open_s=0.5, longest_open_s=5.0)
"""Short: items wait in order for Triton, and nothing else can be done for them."""


class Outcome(StrEnum):
    """How a message ended; each ends in exactly one of these. A metric's label."""

    LABELLED = "labelled"
    REMOVED = "removed"
    DEAD_LETTERED = "dead_lettered"
    SUPERSEDED = "superseded"
    """A replay, of which a newer version had come in before it."""


@dataclass(frozen=True, slots=True)
class Adapters:
    """The outside world of the pipeline."""

    media: Media
    features: Features
    inference: Inference
    labels: Labels
    dead_letters: DeadLetters
    releases: Releases
    versions: Versions
    earlier: Earlier = field(default_factory=NothingEarlier)
    embeddings: EmbeddingStore = field(default_factory=NothingKept)
    picture_texts: PictureTexts = field(default_factory=NothingRead)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Bounds of the micro-batches of one kind."""

    max_items: int = 64
    max_wait_s: float = 0.004
    busy_wait_s: float = 0.06
    max_batches: int = 3


@dataclass(frozen=True, slots=True)
class _Work:
    """One item on its way through the models, by the releases that were live when it set out."""

    content: Content
    live: LiveKind


_Answer = Scored | Rejected | LiveKind
"""What comes of a work; where the releases changed meanwhile, those by which it is to set out again."""


class Pipeline:
    """Takes messages of the input topics to their end."""

    def __init__(
        self,
        adapters: Adapters,
        metrics: WorkerMetrics,
        limits: dict[Kind, BatchLimits],
        backoff: Backoff | None = None,
        max_item_bytes: int = MAX_ITEM_BYTES,
        media_room: MediaRoom | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._to = adapters
        self._metrics = metrics
        self._timer = Timer(metrics.observe_stage)
        self._backoff = backoff or Backoff()
        self._max_item_bytes = max_item_bytes
        self._media_room = media_room or MediaRoom()
        self._clock = clock
        self._breakers = Breakers[Kind](InferenceUnavailable, TRITON_BREAKER)
        self._batchers = {
            kind: MicroBatcher(
                self._score,
                max_items=limit.max_items,
                max_wait_s=limit.max_wait_s,
                busy_wait_s=limit.busy_wait_s,
                max_batches=limit.max_batches,
            )
            for kind, limit in limits.items()
        }

    @property
    def open_circuits(self) -> int:
        """Kinds whose inference is left alone after many failures."""
        return self._breakers.open

    async def process(self, message: Incoming, turn: Turn) -> Outcome:
        """Take the message to its end and say which it was. Results are published when it is its turn.

        Raises:
            DeliveryImpossibleError: Kafka refuses to take results for good; stop the worker.
        """
        try:
            outcome = await self._process(message, turn)
        except Rejected as rejected:
            outcome = await self._bury(message, rejected)
        except DeliveryImpossibleError:
            raise
        except Exception as error:
            # A fault of ours costs one item and not the partition; it is counted, logged, replayable.
            log.exception("%s failed", place_of(message))
            text = f"{type(error).__name__}: {error}"
            outcome = await self._bury(message, Rejected(DeadLetterCode.INTERNAL_ERROR, text))
        self._metrics.count_item(KIND_OF_TOPIC[message.topic], outcome)
        return outcome

    async def _process(self, message: Incoming, turn: Turn) -> Outcome:
        with self._timer.stage(Stage.DECODE):
            arrival = take_in(message, self._max_item_bytes)
        if arrival.replay is not None and await self._is_superseded(message, arrival.replay):
            return Outcome.SUPERSEDED
        if isinstance(arrival, Removal):
            return await self._remove(arrival, turn)
        return await self._label(arrival, turn)

    async def _is_superseded(self, message: Incoming, replay: Replay) -> bool:
        """Whether a newer version came between the item and its replay; later ones beat it by themselves."""
        offsets = range(replay.scan_from, message.offset)
        newer = await self._to.versions.newer(
            message.topic, message.partition, message.key or b"", offsets, replay.first_offset
        )
        if newer is not None:
            log.info("%s replays an item superseded at %d", place_of(message), newer)
        return newer is not None

    async def _label(self, arrival: Arrived, turn: Turn) -> Outcome:
        live = await self._live(arrival.item.kind)
        content = content_hash(arrival.item)
        earlier = [] if arrival.force else await self._label_again(arrival, live, content)
        records = earlier or await self._label_anew(arrival, live, content)
        await turn.wait()
        with self._timer.stage(Stage.PUBLISH):
            await together([self._to.labels.publish(record) for record in records])
        self._observe(records)
        if earlier:
            self._metrics.count_reused(arrival.item.kind)
        return Outcome.LABELLED

    async def _label_again(self, arrival: Arrived, live: LiveKind, content: str) -> list[LabelRecord]:
        """The earlier records, where they answer this message too; earlier.py says why they may be stale."""
        item = arrival.item
        tasks = [running.release.task for running in live.releases]
        earlier = await self._to.earlier.records(item.kind, item.id, tasks)
        return answer_again(earlier, item, _origin(arrival), live, content, self._clock())

    async def _label_anew(self, arrival: Arrived, live: LiveKind, content: str) -> list[LabelRecord]:
        item = arrival.item
        async with self._media_room.hold(references(item, live)) as room:
            gathered = await self._gather(item, live, room)
            heard = live.modalities
            while isinstance(
                scored := await self._batchers[item.kind].submit(_Work(gathered.content, live)), LiveKind
            ):
                live = scored
                if not live.modalities <= heard:
                    gathered = await self._gather(item, live, room)
                    heard = live.modalities
        if isinstance(scored, Rejected):
            raise scored
        missing = {**scored.extraction.missing, **gathered.missing}
        records = label_records(
            item, _origin(arrival), scored, missing, content, self._clock(), gathered.content.read_text
        )
        if not records:
            raise nothing_left(item.kind, missing)
        return records

    async def _gather(self, item: Item, live: LiveKind, room: HeldMedia) -> Gathered:
        with self._timer.stage(Stage.MEDIA):
            gathered = await gather(item, live, self._to.media)
        room.are(len(gathered.content.image or b"") + len(gathered.content.audio or b""))
        self._count_media(gathered.content)
        if live.picture_text is None:
            return gathered
        with self._timer.stage(Stage.READ_PICTURE):
            content = await with_picture_text(gathered.content, live, self._to.picture_texts)
        return replace(gathered, content=content)

    async def _remove(self, removal: Removal, turn: Turn) -> Outcome:
        live = await self._live(removal.kind)
        # What a retired task said of the item is in the topic still.
        tasks = self._to.releases.tasks(removal.kind)
        sequence = max(running.sequence for running in live.releases)
        await turn.wait()
        revision = Revision(removal.item_offset, sequence)
        with self._timer.stage(Stage.PUBLISH):
            await self._to.labels.remove(removal.kind, removal.item_id, tasks, revision)
        return Outcome.REMOVED

    async def _bury(self, message: Incoming, rejected: Rejected) -> Outcome:
        letter = DeadLetter(
            code=rejected.code,
            message=rejected.message,
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            attempts=1 + earlier_attempts(message.headers),
            at=self._clock(),
            key=message.key,
            value=message.value,
            headers=tuple(message.headers),
        )
        with self._timer.stage(Stage.PUBLISH):
            await self._to.dead_letters.publish(letter)
        self._metrics.count_dead_letter(rejected.code)
        log.info("%s is a dead letter: %s", place_of(message), rejected.code)
        return Outcome.DEAD_LETTERED

    async def _live(self, kind: Kind) -> LiveKind:
        """What is live for the kind; items wait in Kafka until something is."""
        attempt = 0
        while (live := self._to.releases.live(kind)) is None:
            attempt += 1
            self._count_retry("releases", f"no release of kind {kind} is live")
            await asyncio.sleep(self._backoff.delay_s(attempt))
        return live

    async def _score(self, works: Sequence[_Work]) -> list[_Answer]:
        """Score a micro-batch; when releases changed in its middle, each part by its own."""
        self._metrics.observe_batch(works[0].live.kind, len(works))
        results: dict[int, _Answer] = {}
        for live in {id(work.live): work.live for work in works}.values():
            rows = [row for row, work in enumerate(works) if work.live is live]
            scored = await self._score_together([works[row].content for row in rows], live)
            results.update(zip(rows, scored, strict=True))
        return [results[row] for row in range(len(works))]

    async def _score_together(self, contents: Sequence[Content], live: LiveKind) -> Sequence[_Answer]:
        media = await SharedMedia.look_up(contents, live, self._to.embeddings)
        with self._timer.stage(Stage.FEATURES):
            extracted = await self._to.features.extract(media.to_extract(), live.plan)
        try:
            scored = await self._score_patiently(media.complete(extracted), live)
        except InferenceRejected as error:
            if len(contents) == 1:
                return [Rejected(DeadLetterCode.INFERENCE_REJECTED, str(error))]
        else:
            if isinstance(scored, LiveKind):
                return [scored] * len(contents)
            self._metrics.count_shared(media.counts())
            self._to.embeddings.keep(media.fresh(scored))
            return scored
        # One of them is at fault: alone, each is answered or rejected for itself.
        return [(await self._score_together([content], live))[0] for content in contents]

    async def _score_patiently(
        self, extractions: Sequence[Extraction], live: LiveKind
    ) -> Sequence[Scored] | LiveKind:
        """Try until Triton answers: nothing is dead-lettered because a server is away."""
        attempt = 0
        while True:
            attempt += 1
            delay_s = self._backoff.delay_s(attempt)
            try:
                with self._breakers.attempt(live.kind):
                    return await score(extractions, live, self._to.inference, self._timer)
            except InferenceUnavailable as error:
                self._count_retry("triton", str(error))
            except BreakerOpenError as refused:
                # One batch of the kind finds out for all of them whether Triton is back.
                delay_s = max(delay_s, refused.retry_in_s)
            await asyncio.sleep(delay_s)
            newer = self._to.releases.live(live.kind)
            if newer is not None and newer is not live:
                # What was asked for may be gone for good.
                return newer

    def _count_media(self, content: Content) -> None:
        for modality, data in ((Modality.IMAGE, content.image), (Modality.AUDIO, content.audio)):
            if data is not None:
                self._metrics.count_media_bytes(modality, len(data))

    def _observe(self, records: Sequence[LabelRecord]) -> None:
        first = records[0]
        seconds = (self._clock() - first.arrived_at).total_seconds()
        self._metrics.observe_arrival_to_label(first.kind, max(0.0, seconds))
        for missing in first.modalities_missing:
            self._metrics.count_missing(missing.modality, missing.reason)

    def _count_retry(self, target: Retried, reason: str) -> None:
        self._metrics.count_retry(target)
        log.debug("waiting for %s: %s", target, reason)


def _origin(arrival: Arrived) -> Origin:
    return Origin(arrival.arrived_at, arrival.position, arrival.item_offset, arrival.all_scores)
