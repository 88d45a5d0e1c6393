"""Why Kafka cannot be connected to: aiokafka's clients say only that they could not."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiokafka import errors as kafka
from aiokafka.conn import collect_hosts, create_conn
from aiokafka.protocol.metadata import MetadataRequest

from genrestream.connections.tls import tls_refusal

DEADLINE_S = 10.0

LOGIN_REFUSED = (
    kafka.SaslAuthenticationFailed,
    kafka.AuthenticationFailedError,
    kafka.AuthenticationMethodNotSupported,
    kafka.IllegalSaslStateError,
    # Of a server that cannot prove that it knows the password.
    ValueError,
)


async def kafka_refusal(bootstrap: str, security: Mapping[str, Any] | None = None) -> str | None:
    """Why the brokers take no connection, one line; None when nothing listens, or one takes it.

    `security` holds aiokafka's arguments of that kind.
    """
    for host, port, _ in collect_hosts(bootstrap, randomize=False):
        if (reason := await _refusal(host, port, security or {})) is not None:
            return f"Kafka at {host}:{port} refuses the connection: {reason}"
    return None


async def no_kafka(bootstrap: str, security: Mapping[str, Any] | None = None) -> str:
    """One line, after a client could not connect: no broker answers, or why one refuses."""
    return await kafka_refusal(bootstrap, security) or f"no Kafka broker answers at {bootstrap}"


async def _refusal(host: str, port: int, security: Mapping[str, Any]) -> str | None:
    if (reason := await tls_refusal(host, port, security.get("ssl_context"))) is not None:
        return reason
    user, mechanism = security.get("sasl_plain_username"), security.get("sasl_mechanism")
    try:
        async with asyncio.timeout(DEADLINE_S):
            with _unlogged():
                connection = await create_conn(host, port, **security)
                try:
                    # Versions are told to everybody, metadata only after the login.
                    await connection.send(MetadataRequest([]))
                finally:
                    connection.close()
    except kafka.UnsupportedSaslMechanismError:
        return f"it offers no login by {mechanism}"
    except LOGIN_REFUSED:
        return f"the login of user {user} by {mechanism} failed"
    except kafka.KafkaError:
        asked = "a login or TLS" if not security else "another KAFKA_SECURITY_PROTOCOL, or a certificate"
        return f"it closes the connection; it may demand {asked}"
    except (OSError, TimeoutError):
        return None
    return None


@contextmanager
def _unlogged() -> Iterator[None]:
    """Connections log nothing inside: it is in the answer. Several may be inside at the same time."""

    def nothing(_: logging.LogRecord) -> bool:
        return False

    log = logging.getLogger("aiokafka.conn")
    log.addFilter(nothing)
    try:
        yield
    finally:
        log.removeFilter(nothing)
