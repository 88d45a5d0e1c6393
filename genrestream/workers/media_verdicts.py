"""What an answer or a failure over HTTP says about a medium: that it is not to be had, or that this may pass.

Texts name a host at most, never a path, a query or credentials, which the HTTP library's own texts quote.
"""

import os
import socket
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp

from genrestream.schemas import MissingReason
from genrestream.workers.errors import MediaMayPass, MediaUnavailable
from genrestream.workers.media_address import AddressRefusedError

_NOT_FOUND = frozenset({404, 410})
_FORBIDDEN = frozenset({401, 403, 451})
_REQUEST_TIMEOUT = 408
_TOO_MANY_REQUESTS = 429

_FINAL: dict[type[Exception], str] = {
    aiohttp.ClientSSLError: "no TLS connection",
    aiohttp.ClientResponseError: "the answer is malformed",
    # The library's InvalidURL, and names that no name service takes.
    ValueError: "the URL is malformed",
}
"""What the same request would meet again."""
_PASSING: dict[type[Exception], str] = {
    aiohttp.ServerTimeoutError: "no connection in time",
    aiohttp.ClientPayloadError: "the transfer broke off",
    aiohttp.ServerDisconnectedError: "the server closed the connection",
}
_PASSING_LOOK_UPS = frozenset({socket.EAI_AGAIN, socket.EAI_SYSTEM})
"""The name service did not answer. Any other failure of a look-up says that there is no such name."""


def of_status(status: int, host: str, retry_after: str | None, now: datetime) -> MediaUnavailable:
    """The verdict on an answer that is no 200; `retry_after` is its header (RFC 9110, 10.2.3)."""
    detail = f"HTTP {status} from {host}"
    if status in _NOT_FOUND:
        return MediaUnavailable(MissingReason.NOT_FOUND, detail)
    if status in _FORBIDDEN:
        return MediaUnavailable(MissingReason.FORBIDDEN, detail)
    if status in {_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS} or 500 <= status < 600:
        return MediaMayPass(MissingReason.UNREACHABLE, detail, _seconds(retry_after, now))
    return MediaUnavailable(MissingReason.UNREACHABLE, detail)


def of_error(error: Exception, host: str) -> MediaUnavailable:
    """The verdict on a request that gave no answer, or no whole one."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(cause, AddressRefusedError):
        return MediaUnavailable(MissingReason.FORBIDDEN, f"the URL leads to {cause}")
    kind, words = _words(error, cause)
    return kind(MissingReason.UNREACHABLE, f"{host}: {words}")


def _words(error: Exception, cause: Exception) -> tuple[type[MediaUnavailable], str]:
    """Whether it may pass, and what it was."""
    if isinstance(cause, socket.gaierror):
        if cause.errno in _PASSING_LOOK_UPS:
            return MediaMayPass, "the name service does not answer"
        return MediaUnavailable, "no such host"
    for kinds, verdict in ((_FINAL, MediaUnavailable), (_PASSING, MediaMayPass)):
        for kind, words in kinds.items():
            if isinstance(error, kind):
                return verdict, words
    if isinstance(cause, OSError):
        return MediaMayPass, os.strerror(cause.errno) if cause.errno else "no connection"
    return MediaUnavailable, type(error).__name__


def _seconds(retry_after: str | None, now: datetime) -> float:
    """How long the server asks to wait; 0 when it does not say so in a form that is one."""
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - now).total_seconds())
