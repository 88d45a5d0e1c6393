"""Dead letters as workers write them, on the session's Kafka, and the commands about them."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition

from genrestream.client.partitions import open_partition_reader
from genrestream.ops.state import StackState
from genrestream.schemas import DeadLetter, DeadLetterCode, Place
from genrestream.schemas.topics import DEAD_LETTERS, INPUT_TOPICS, LABELS, Topic

INPUT = INPUT_TOPICS["podcast"]
Headers = Sequence[tuple[str, bytes]]


@dataclass(slots=True)
class Scene:
    """A test's own items, letters and labels: one partition, keys and a source that no other test has."""

    bootstrap: str
    source: str = field(default_factory=lambda: f"/test-{uuid.uuid4().hex[:8]}")
    partition: int = 2

    def key(self, name: str) -> bytes:
        """The id of an item, by its name in the test."""
        return f"{self.source[1:]}-{name}".encode()

    async def arrive(self, name: str, value: bytes | None = b"{}", headers: Headers = ()) -> Place:
        """An item comes in; where."""
        stored = await self._send(INPUT, self.key(name), value, headers, self.partition)
        return Place(stored.topic, stored.partition, stored.offset)

    async def die(
        self,
        place: Place,
        name: str,
        code: DeadLetterCode = DeadLetterCode.MEDIA_NOT_FOUND,
        headers: Headers = (),
        **changes: Any,
    ) -> DeadLetter:
        """What came in there becomes a dead letter."""
        fields = {"attempts": 1, "at": datetime.now(UTC), "key": self.key(name), "value": b"{}"} | changes
        headers = (("ce_source", self.source.encode()), *headers)
        letter = DeadLetter(code, f"told of {name}", *place, headers=headers, **fields)
        await self._send(DEAD_LETTERS, letter.key, letter.value, letter.to_headers())
        return letter

    async def label(self, name: str, item_offset: int) -> None:
        """Labels of a version are published."""
        key = b"podcast:%s:genres" % self.key(name)
        await self._send(LABELS, key, json.dumps({"revision": [item_offset, 1]}).encode())

    async def remove(self, name: str, item_offset: int) -> None:
        """A removal is published."""
        key = b"podcast:%s:genres" % self.key(name)
        await self._send(LABELS, key, None, [("genrestream-revision", b"[%d,1]" % item_offset)])

    async def _send(
        self,
        topic: Topic,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
        partition: int | None = None,
    ) -> Any:
        async with AIOKafkaProducer(bootstrap_servers=self.bootstrap, max_request_size=8 * 2**20) as producer:
            return await producer.send_and_wait(topic.name, value, key, partition, headers=list(headers))

    async def came_in(self, name: str) -> list[ConsumerRecord]:
        """All messages of the item in its input partition."""
        part = TopicPartition(INPUT.name, self.partition)
        async with open_partition_reader(self.bootstrap, [INPUT]) as reader:
            records = [record async for record in reader.read(await reader.there([part]))]
        return [record for record in records if record.key == self.key(name)]

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        """`genrestream dead-letters` with these arguments."""
        return subprocess.run(
            [sys.executable, "-m", "genrestream", "dead-letters", *arguments],
            env={**os.environ, "KAFKA_BOOTSTRAP": self.bootstrap},
            capture_output=True,
            check=False,
            timeout=120,
        )

    def start(self, *arguments: str, stdout: int = subprocess.DEVNULL) -> "subprocess.Popen[bytes]":
        """The same, going on while the test does."""
        return subprocess.Popen(
            [sys.executable, "-m", "genrestream", "dead-letters", *arguments],
            env={**os.environ, "KAFKA_BOOTSTRAP": self.bootstrap},
            stdout=stdout,
            stderr=subprocess.PIPE,
        )

    def lines(self, *arguments: str) -> list[dict[str, Any]]:
        """The JSON lines of a command about this scene's letters."""
        done = self.command(*arguments, "--source", self.source, "--json")
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def states(self) -> dict[str, str]:
        """The state of every letter, by place."""
        return {line["place"]: line["state"] for line in self.lines("list", "--all")}


@pytest.fixture
def scene(stack: StackState) -> Scene:
    """A test's own."""
    return Scene(stack.kafka_bootstrap)
