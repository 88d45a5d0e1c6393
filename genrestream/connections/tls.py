"""Why a server that listens takes no connection: what a TLS handshake with it says."""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

DEADLINE_S = 5.0


async def tls_refusal(host: str, port: int, context: ssl.SSLContext | None) -> str | None:
    """Why no connection comes about, None when nothing listens or TLS is not what is wrong.

    `context` None is a client without TLS: the answer is then whether the server wants it.
    """
    # Without any authority every certificate is refused, and that tells that the server speaks TLS.
    trusting_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        async with asyncio.timeout(DEADLINE_S):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            _, writer = await asyncio.open_connection(host, port, ssl=context or trusting_nobody)
            writer.transport.abort()
    except ssl.SSLCertVerificationError as error:
        if context is None:
            return "it speaks TLS, and this client does not"
        return f"its certificate is not trusted: {error.verify_message.rstrip('.')}"
    except ssl.SSLError as error:
        return None if context is None else f"the TLS handshake failed: {error.reason or 'closed'}"
    except ConnectionResetError:
        return None if context is None else "it closes the connection during the TLS handshake"
    except (OSError, TimeoutError):
        return None  # nothing listens, or it is stuck
    return None


async def triton_refusal(address: str, security: Mapping[str, Any]) -> str | None:
    """Why Triton at `host:port` takes no connection, one line; None when nothing listens, or TLS is right.

    `security` holds tritonclient's arguments of that kind.
    """
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return None
    context = None
    if security:
        context = ssl.create_default_context(cafile=security["root_certificates"])
        if security["certificate_chain"] is not None:
            context.load_cert_chain(security["certificate_chain"], security["private_key"], password="")
        # gRPC servers take nothing else.
        context.set_alpn_protocols(["h2"])
    reason = await tls_refusal(host.strip("[]"), int(port), context)
    return None if reason is None else f"Triton at {address} refuses the connection: {reason}"
