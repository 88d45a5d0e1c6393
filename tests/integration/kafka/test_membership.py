"""What a worker's membership rests on: aiokafka's static members at a real Kafka."""

import asyncio
import uuid

from aiokafka import AIOKafkaConsumer

import genrestream.workers.membership  # noqa: F401 - it says what a fenced member is
from tests.integration.kafka.conftest import MakeTopic


async def test_a_member_whose_place_was_taken_before_its_join_joins_anew(
    bootstrap: str, make_topic: MakeTopic
) -> None:
    """Claim: Kafka's "fenced instance id" stops nobody, least of all who had the place first."""
    topic, group = make_topic(), uuid.uuid4().hex
    first, second = (
        AIOKafkaConsumer(
            topic,
            bootstrap_servers=bootstrap,
            group_id=group,
            group_instance_id="same",
            session_timeout_ms=30_000,
            # The first one is to hear of the second from its own join, not from a heartbeat or commit.
            heartbeat_interval_ms=29_000,
            enable_auto_commit=False,
        )
        for _ in range(2)
    )
    async with first, second:
        coordinator = first._coordinator
        id_taken = coordinator.member_id
        coordinator.request_rejoin()
        async with asyncio.timeout(30):
            while coordinator.member_id in {"", id_taken}:
                coordinator.check_errors()
                await asyncio.sleep(0.05)
