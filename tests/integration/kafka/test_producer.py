"""Delivery is awaited: what a call returned for is in Kafka, whatever happened on the way."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import ConsumerRecord, TopicPartition

from genrestream.ops.state import StackState
from genrestream.workers.errors import DeliveryImpossibleError, KafkaUnavailableError
from genrestream.workers.producer import KafkaProducer
from genrestream.workers.retries import Backoff

pytestmark = pytest.mark.stack

MakeTopic = Callable[..., str]
ReadAll = Callable[[str], Awaitable[list[ConsumerRecord]]]


async def test_what_was_delivered_can_be_read_at_once(
    producer: KafkaProducer, make_topic: MakeTopic, read_all: ReadAll
) -> None:
    """1,000 deliveries from as many tasks are all there when they return, byte for byte."""
    topic = make_topic(partitions=4)
    sent = {b"k%d" % n: (b"v%d" % n, [("h", b"%d" % n)]) for n in range(1000)}
    await asyncio.gather(*(producer.deliver(topic, key, *rest) for key, rest in sent.items()))
    found = {record.key: (record.value, list(record.headers)) for record in await read_all(topic)}
    assert found == sent


async def test_the_order_of_one_caller_is_kept(
    producer: KafkaProducer, make_topic: MakeTopic, read_all: ReadAll
) -> None:
    """Who awaits one delivery before the next finds them in that order."""
    topic = make_topic()
    for n in range(50):
        await producer.deliver(topic, b"k", b"%d" % n, [])
    assert [record.value for record in await read_all(topic)] == [b"%d" % n for n in range(50)]


async def test_a_broker_that_stands_still_is_waited_for(
    stack: StackState, producer: KafkaProducer, make_topic: MakeTopic, read_all: ReadAll
) -> None:
    """While Kafka is silent nothing is delivered and nothing raised; when it goes on all is there, once."""
    topic = make_topic(partitions=3)
    await producer.deliver(topic, b"first", b"v", [])
    broker = next(server.pid for server in stack.servers if server.name == "kafka")
    os.kill(broker, signal.SIGSTOP)
    try:
        deliveries = [asyncio.create_task(producer.deliver(topic, b"k%d" % n, b"v", [])) for n in range(20)]
        done, _ = await asyncio.wait(deliveries, timeout=1.0)
    finally:
        os.kill(broker, signal.SIGCONT)
    assert not done
    async with asyncio.timeout(60):
        await asyncio.gather(*deliveries)
    expected = sorted([b"first", *(b"k%d" % n for n in range(20))])
    assert sorted(record.key for record in await read_all(topic)) == expected


async def test_what_is_too_large_for_the_topic_stops_the_worker(
    producer: KafkaProducer, make_topic: MakeTopic
) -> None:
    """A refusal that no attempt can change is raised with the topic's name; others go on."""
    topic = make_topic(settings={"max.message.bytes": "10000"})
    with pytest.raises(DeliveryImpossibleError, match=f"Kafka refuses to write to {topic}: "):
        await producer.deliver(topic, b"k", b"v" * 20_000, [])
    await producer.deliver(topic, b"k", b"v", [])


async def test_a_lost_sequence_costs_a_new_producer_and_no_record(
    bootstrap: str, make_topic: MakeTopic, read_all: ReadAll
) -> None:
    """After a gap in its sequence the broker takes nothing more from a producer; a new one goes on."""
    retries: list[str] = []
    producer = KafkaProducer(
        bootstrap, "test", on_retry=lambda: retries.append("again"), backoff=Backoff(0.01, 0.05)
    )
    await producer.start()
    topic = make_topic()
    await producer.deliver(topic, b"first", b"", [])
    # What aiokafka does itself when a batch expires before its partition has a leader again.
    producer._producer._txn_manager.increment_sequence_number(TopicPartition(topic, 0), 3)
    async with asyncio.timeout(60):
        await asyncio.gather(*(producer.deliver(topic, b"k%d" % n, b"v", []) for n in range(20)))
        await producer.stop()
    assert {record.key for record in await read_all(topic)} == {b"first", *(b"k%d" % n for n in range(20))}
    assert len(retries) >= 1


async def test_no_broker_is_one_clear_line() -> None:
    """Who starts without Kafka learns which address does not answer."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(KafkaUnavailableError, match=f"^no Kafka broker answers at {address}$"):
            await KafkaProducer(address, "test").start()
