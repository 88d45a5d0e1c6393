"""Announcing on `catalog.releases` which head is live; and at a stack's start, what the repository says.

The newest announcement of a key wins, and its offset orders label records; so nothing is announced twice
without need.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError
from pydantic import ValidationError

from genrestream.connections.kafka import no_kafka
from genrestream.connections.settings import PLAIN, Security
from genrestream.repository import GOLDEN, Repository
from genrestream.repository.golden import check_golden, read_golden
from genrestream.repository.layout import head_name
from genrestream.schemas.headers import RELEASE_EVENT_TYPE
from genrestream.schemas.items import Kind
from genrestream.schemas.releases import Release, ReleaseAction, ReleaseAnnouncement, release_key
from genrestream.schemas.topics import RELEASES
from genrestream.workers.cloud_events import event_headers
from genrestream.workers.errors import DeliveryImpossibleError, KafkaUnavailableError
from genrestream.workers.producer import Headers, KafkaProducer
from genrestream.workers.triton_control import TritonControl

log = logging.getLogger(__name__)

CLIENT_ID = "genrestream-release"
DEADLINE_S = 60.0
POLL_MS = 200


@dataclass(frozen=True, slots=True)
class Announced:
    """An announcement and its sequence number: its offset in the topic."""

    sequence: int
    announcement: ReleaseAnnouncement


async def announce_live(
    repository_root: Path, kafka_bootstrap: str, triton_url: str, security: Security = PLAIN
) -> list[Announced]:
    """Bring Triton and `catalog.releases` to what the repository's live pointers say; what was announced.

    Loads every live head, the ones live before them and their encoders, checks each live head's golden
    batch, and announces those whose newest announcement is another version or none.

    Raises:
        RepositoryError: the repository is damaged, or a served head fails its golden batch.
        ModelServerError, KafkaUnavailableError: a server is away or refuses; one line.
    """
    repository = Repository(repository_root)
    pointers = {head: pointer for head in repository.heads() if (pointer := repository.live(head))}
    live = {head: repository.release(pointer.model, pointer.version) for head, pointer in pointers.items()}
    async with TritonControl(triton_url, security.triton) as triton:
        await triton.require_ready()
        await _load_all(triton, repository, list(live.values()))
    newest = {
        release_key(found.announcement.release.kind, found.announcement.release.task): found
        for found in await read_announcements(kafka_bootstrap, security.kafka)
    }
    announced = []
    for head, release in live.items():
        known = newest.get(release_key(release.kind, release.task))
        if known is None or known.announcement.release != release:
            announced.append(await announce(kafka_bootstrap, release, pointers[head].action, security.kafka))
    return announced


async def _load_all(triton: TritonControl, repository: Repository, live: list[Release]) -> None:
    """Encoders first: a head that is ready must find them ready."""
    heads = {release.model for release in live}
    served = repository.served()
    for model in sorted(served, key=lambda name: (name in heads, name)):
        for version in served[model]:
            # What is loaded runs: only the files that were released.
            await asyncio.to_thread(repository.verify, model, version)
        repository.write_config(model)
        await triton.load(model, *served[model])
    for release in live:
        golden = read_golden(repository.version_dir(release.model, release.version) / GOLDEN)
        found = await triton.confidences(release, golden)
        check_golden(golden, found, f"{release.model} version {release.version}")


async def announce(
    kafka_bootstrap: str,
    release: Release,
    action: ReleaseAction,
    security: Mapping[str, Any] | None = None,
) -> Announced:
    """The announcement, once all in-sync replicas have it.

    `security` holds aiokafka's arguments of that kind.

    Raises:
        KafkaUnavailableError: Kafka does not take it in time, or refuses it.
    """
    announcement = ReleaseAnnouncement(action=action, release=release, announced_at=datetime.now(UTC))
    key = release_key(release.kind, release.task)
    event_id = f"{key}:{release.model}:{release.version}:{announcement.announced_at.timestamp():.6f}"
    headers = event_headers(RELEASE_EVENT_TYPE, event_id, announcement.announced_at)
    await _deliver(kafka_bootstrap, key, announcement.model_dump_json().encode(), headers, security)
    newest = [
        found
        for found in await read_announcements(kafka_bootstrap, security)
        if found.announcement == announcement
    ]
    if not newest:
        raise KafkaUnavailableError(f"the announcement of {key} is not to be read at {kafka_bootstrap}")
    return newest[-1]


async def retire(
    kafka_bootstrap: str, kind: Kind, task: str, security: Mapping[str, Any] | None = None
) -> None:
    """Announce that the task has no release any more; return once all in-sync replicas have it.

    Workers label no more items for the task; the labels that are there stay.

    Raises:
        KafkaUnavailableError: Kafka does not take it in time, or refuses it.
    """
    key = release_key(kind, task)
    now = datetime.now(UTC)
    headers = event_headers(RELEASE_EVENT_TYPE, f"{key}:retired:{now.timestamp():.6f}", now)
    await _deliver(kafka_bootstrap, key, None, headers, security)


async def _deliver(
    kafka_bootstrap: str,
    key: str,
    value: bytes | None,
    headers: Headers,
    security: Mapping[str, Any] | None,
) -> None:
    producer = KafkaProducer(kafka_bootstrap, CLIENT_ID, security=security)
    with _one_line(kafka_bootstrap):
        async with asyncio.timeout(DEADLINE_S):
            try:
                await producer.start()
                await producer.deliver(RELEASES.name, key.encode(), value, headers)
            finally:
                await producer.stop()


async def heads_elsewhere(
    repository_root: Path, kafka_bootstrap: str, security: Mapping[str, Any] | None = None
) -> list[str]:
    """Heads that are announced, and not live in this repository: their kinds cannot be labelled from it.

    Raises:
        KafkaUnavailableError: no broker answers in time.
    """
    repository = Repository(repository_root)
    live = {head for head in repository.heads() if repository.live(head) is not None}
    found = [one.announcement.release for one in await read_announcements(kafka_bootstrap, security)]
    return sorted({head_name(release.kind, release.task) for release in found} - live)


async def read_announcements(
    kafka_bootstrap: str, security: Mapping[str, Any] | None = None
) -> list[Announced]:
    """All announcements that the compacted topic still holds, the oldest first.

    Without those of retired tasks and unreadable ones.

    Raises:
        KafkaUnavailableError: no broker answers in time, or the topic is not there.
    """
    with _one_line(kafka_bootstrap):
        async with asyncio.timeout(DEADLINE_S):
            consumer = AIOKafkaConsumer(
                bootstrap_servers=kafka_bootstrap, group_id=None, enable_auto_commit=False, **(security or {})
            )
            try:
                await consumer.start()
                return await _read_all(consumer, kafka_bootstrap)
            except KafkaConnectionError as error:
                raise KafkaUnavailableError(await no_kafka(kafka_bootstrap, security)) from error
            finally:
                await consumer.stop()


async def _read_all(consumer: AIOKafkaConsumer, kafka_bootstrap: str) -> list[Announced]:
    if RELEASES.name not in await consumer.topics():
        raise KafkaUnavailableError(
            f"no topic {RELEASES.name} at {kafka_bootstrap}: `genrestream topics create` makes it"
        )
    partition = TopicPartition(RELEASES.name, 0)
    consumer.assign([partition])
    await consumer.seek_to_beginning(partition)
    end = (await consumer.end_offsets([partition]))[partition]
    found: list[Announced] = []
    # The position, not the records: compaction leaves offsets without a record.
    while await consumer.position(partition) < end:
        batches = await consumer.getmany(partition, timeout_ms=POLL_MS)
        for record in batches.get(partition, []):
            if record.offset >= end:
                continue
            if record.value is None:
                found = [one for one in found if _key(one.announcement.release) != record.key]
                continue
            try:
                announcement = ReleaseAnnouncement.model_validate_json(record.value)
            except ValidationError:
                log.warning("no release announcement at offset %d of %s", record.offset, RELEASES.name)
                continue
            found.append(Announced(record.offset, announcement))
    return found


def _key(release: Release) -> bytes:
    return release_key(release.kind, release.task).encode()


@contextmanager
def _one_line(kafka_bootstrap: str) -> Iterator[None]:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # What it logs is raised here.
    try:
        yield
    except TimeoutError as error:
        raise KafkaUnavailableError(
            f"the Kafka at {kafka_bootstrap} did not answer in {DEADLINE_S:g} s"
        ) from error
    except (KafkaError, DeliveryImpossibleError, OSError) as error:
        raise KafkaUnavailableError(f"the Kafka at {kafka_bootstrap} failed: {error}") from error
