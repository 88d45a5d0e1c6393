"""Messages whose header names are no UTF-8, which Kafka takes."""

from kafka import KafkaProducer


class _NoText(str):
    """A header name that the client sends as bytes that are no UTF-8."""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return b"\xff\xfe"


SEEN_AS = "\\xff\\xfe"
"""The header's name as our readers show it."""


def send_with_strange_header(
    bootstrap: str, topic: str, key: bytes, value: bytes, partition: int | None = None
) -> None:
    """Return once Kafka has the message."""
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    try:
        sent = producer.send(topic, key=key, value=value, headers=[(_NoText("x"), b"y")], partition=partition)
        sent.get(timeout=30)
    finally:
        producer.close()
