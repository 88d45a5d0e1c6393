"""Asking why Kafka takes no connection leaves the client's log as it was."""

import asyncio
import logging

import pytest

from genrestream.connections.kafka import kafka_refusal


async def test_the_log_is_silent_meanwhile_and_not_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    """Also where several ask at the same time: a worker goes on after it."""

    async def foreign(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers what is no Kafka: a response to a request that nobody made."""
        await reader.read(1)
        writer.write(b"\x00\x00\x00\x04\x00\x00\x03\xe7")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(foreign, "127.0.0.1", 0)
    bootstrap = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    login = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "worker",
        "sasl_plain_password": "hush",
    }
    try:
        # The command line's readers, in other tests, keep this logger quiet.
        with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="aiokafka"):
            found = await asyncio.gather(*(kafka_refusal(bootstrap, login) for _ in range(3)))
            assert all(found)
            assert not [record for record in caplog.records if record.name.startswith("aiokafka")]
            logging.getLogger("aiokafka.conn").warning("later")
            logging.getLogger("aiokafka").info("later")
        assert [record.message for record in caplog.records if record.name.startswith("aiokafka")] == [
            *["later"] * 2
        ]
    finally:
        listener.close()
