"""Bad input ends as a dead letter with its code, or as a label that says what was missing."""

import asyncio
import base64
import json
import re
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from PIL import Image

from genrestream.cli.addresses import Addresses
from genrestream.client.publisher import Message
from genrestream.schemas import DeadLetterCode, MissingReason, Modality
from tests.end_to_end.conftest import StartWorker
from tests.end_to_end.harness import Outside
from tests.no_text import SEEN_AS, send_with_strange_header

RUN = uuid.uuid4().hex[:8]
LOOPBACK_ALLOWED = {"GENRESTREAM_MEDIA_ALLOWED_NETWORKS": "127.0.0.0/8"}
"""The bad server is on this machine, where media are not read from by default."""


class _BadServer(BaseHTTPRequestHandler):
    """`/404`, `/500`, `/html` (no picture), `/endless`, and `/slow`, which never answers."""

    released = Event()

    def do_GET(self) -> None:
        """Answer by path."""
        match self.path:
            case "/html":
                self.send_response(200)
                self.send_header("content-type", "image/jpeg")
                self.end_headers()
                self.wfile.write(b"<html>not a picture</html>")
            case "/endless":
                self.send_response(200)
                self.end_headers()
                while not self.released.is_set():
                    self.wfile.write(bytes(65536))
            case "/slow":
                self.released.wait(60)
            case _:
                self.send_error(int(self.path[1:]))

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def bad_server() -> Iterator[str]:
    """The address of a server that does everything wrong."""
    _BadServer.released.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _BadServer)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    _BadServer.released.set()
    server.shutdown()


def event(name: str, **fields: Any) -> Message:
    """An event's message; the id carries the case's name."""
    item_id = f"{RUN}-{name}"
    return Message("catalog.events", item_id.encode(), json.dumps({"id": item_id, **fields}).encode())


def bomb() -> bytes:
    """A WebP of 38 bytes with 50 million half-transparent pixels: 1.25 GiB on the way to a tensor."""
    buffer = BytesIO()
    Image.new("RGBA", (8_000, 6_250), (9, 9, 9, 128)).save(buffer, "WEBP", lossless=True, quality=0, method=0)
    return buffer.getvalue()


def inline(data: bytes) -> dict[str, str]:
    """Inline media."""
    return {"data": base64.b64encode(data).decode()}


async def test_each_case_ends_with_its_own_code_and_the_worker_goes_on(
    start_worker: StartWorker, outside: Outside, bad_server: str, sample: Path
) -> None:
    """Claim: every kind of bad message becomes a dead letter with its code and its untouched bytes, and a
    good item after them is labelled.
    """
    picture = next((sample / "events").rglob("*.jpg")).read_bytes()
    raw = {
        "no-json": b"{nonsense",
        "no-utf8": b'{"id": "\xff"}',
        "deep": b'{"a":' * 5000 + b"1" + b"}" * 5000,
        "oversized": b'{"title": "' + b"x" * 2_200_000 + b'"}',
    }
    letters = {
        **{
            Message("catalog.events", f"{RUN}-{name}".encode(), value): code
            for (name, value), code in zip(
                raw.items(),
                [DeadLetterCode.MALFORMED_JSON] * 3 + [DeadLetterCode.OVERSIZED_MESSAGE],
                strict=True,
            )
        },
        event("schema", title=["no", "string"]): DeadLetterCode.INVALID_ITEM,
        event("newer", schema_version=99, title="x"): DeadLetterCode.UNSUPPORTED_SCHEMA_VERSION,
        event("kind", kind="opera", title="x"): DeadLetterCode.UNKNOWN_KIND,
        event("topic", kind="podcast", title="x"): DeadLetterCode.WRONG_TOPIC,
        event("empty"): DeadLetterCode.NO_CONTENT,
        event("truncated", poster=inline(picture[: len(picture) // 2])): DeadLetterCode.MEDIA_UNREADABLE,
        event("mislabelled", poster=f"{bad_server}/html"): DeadLetterCode.MEDIA_UNREADABLE,
        event("404", poster=f"{bad_server}/404"): DeadLetterCode.MEDIA_NOT_FOUND,
        event("500", poster=f"{bad_server}/500"): DeadLetterCode.MEDIA_UNREACHABLE,
        event("slow", poster=f"{bad_server}/slow"): DeadLetterCode.MEDIA_TIMEOUT,
        event("endless", poster=f"{bad_server}/endless"): DeadLetterCode.MEDIA_TOO_LARGE,
        event("refused", poster="http://127.0.0.1:9/nobody"): DeadLetterCode.MEDIA_UNREACHABLE,
        event("outside", poster="file:///etc/passwd"): DeadLetterCode.MEDIA_FORBIDDEN,
        event("scheme", poster="gopher://x/y"): DeadLetterCode.MEDIA_FORBIDDEN,
        event("inside", poster="http://169.254.169.254/latest/meta-data/"): DeadLetterCode.MEDIA_FORBIDDEN,
    }
    worker = start_worker("e2e-a", **LOOPBACK_ALLOWED)
    good = event("good", title="Techno all night", description="Warehouse rave with acid and strobe lights")
    await outside.publish([*letters, good])
    await outside.wait_for([message.key.decode() for message in (*letters, good)])
    got = {
        message.key.decode(): [letter.code for letter in outside.seen.letters[message.key.decode()]]
        for message in letters
    }
    assert got == {message.key.decode(): [code] for message, code in letters.items()}
    for message in letters:
        (letter,) = outside.seen.letters[message.key.decode()]
        assert (letter.value, letter.topic) == (message.value, message.topic)
    assert len(outside.seen.records[good.key.decode()]) == 1
    (retries,) = re.findall(r'genrestream_retries_total{target="media"} (\S+)', worker.metrics())
    # `500` and `refused` are asked for five times each.
    assert float(retries) >= 8
    assert worker.poll() is None


async def test_a_broken_poster_beside_a_text_is_only_missing(
    start_worker: StartWorker, outside: Outside, bad_server: str
) -> None:
    """Claim: with a text, the same faults give labels from the text, and the record says why the picture is
    missing.
    """
    text = {"title": "Techno all night", "description": "Warehouse rave with acid and strobe lights"}
    cases = {
        "text-404": (f"{bad_server}/404", MissingReason.NOT_FOUND),
        "text-html": (f"{bad_server}/html", MissingReason.UNREADABLE),
        "text-slow": (f"{bad_server}/slow", MissingReason.TIMEOUT),
        "text-endless": (f"{bad_server}/endless", MissingReason.TOO_LARGE),
        "text-bomb": (inline(bomb()), MissingReason.TOO_LARGE),
        "text-outside": ("file:///etc/passwd", MissingReason.FORBIDDEN),
    }
    start_worker("e2e-a", **LOOPBACK_ALLOWED, GENRESTREAM_FEATURE_MEMORY_BYTES=str(2**30))
    await outside.publish([event(name, poster=poster, **text) for name, (poster, _) in cases.items()])
    await outside.wait_for([f"{RUN}-{name}" for name in cases])
    for name, (_, reason) in cases.items():
        (record,) = outside.seen.records[f"{RUN}-{name}"]
        assert record.modalities_used == (Modality.TEXT,)
        assert [(gone.modality, gone.reason) for gone in record.modalities_missing] == [
            (Modality.IMAGE, reason)
        ]


async def test_a_header_name_that_is_no_text_stops_nobody(
    start_worker: StartWorker, outside: Outside, addresses: Addresses
) -> None:
    """Claim: Kafka takes any bytes as a header's name; the item is labelled, or dead-lettered and shown, like
    any other.
    """
    start_worker("e2e-a")
    good, bad = event("header-good", title="Techno all night"), event("header-bad")
    for sent in (good, bad):
        send_with_strange_header(addresses.kafka_bootstrap, sent.topic, sent.key, sent.value)
    await outside.wait_for([message.key.decode() for message in (good, bad)])
    assert outside.seen.records[good.key.decode()]
    (letter,) = outside.seen.letters[bad.key.decode()]
    assert letter.headers == ((SEEN_AS, b"y"),)


async def test_a_storm_of_dead_letters_stops_the_worker(start_worker: StartWorker, outside: Outside) -> None:
    """Claim: it ends by itself, with a status and one line; what it had begun and what it had not read is
    dead-lettered by those that come after it, and nothing is lost.
    """
    worker = start_worker("e2e-a")
    storm = [event(f"storm-{number}") for number in range(150)]
    await outside.publish(storm)
    async with asyncio.timeout(60):
        while worker.poll() is None:
            await asyncio.sleep(0.05)
    assert worker.poll() == 1
    reason = r"genrestream: \d+ of the last \d+ items were dead-lettered; `genrestream dead-letters groups`"
    assert re.match(reason, worker.last_words())
    start_worker("e2e-a")
    good = event("storm-good", title="Techno all night")
    await outside.publish([good])
    await outside.wait_for([message.key.decode() for message in (*storm, good)])
    assert outside.seen.records[good.key.decode()]
