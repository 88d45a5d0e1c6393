"""What answers and failures mean, as decisions; real servers give them in the integration tests."""

import errno
import socket
from datetime import UTC, datetime

import aiohttp
import pytest

from genrestream.schemas import MissingReason
from genrestream.workers.errors import MediaMayPass, MediaUnavailable
from genrestream.workers.media_verdicts import of_error, of_status

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        (None, 0),
        ("", 0),
        ("0", 0),
        (" 7 ", 7),
        ("120", 120),
        ("9" * 400, float("inf")),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30),
        ("Thursday, 01-Jan-26 12:00:30 GMT", 30),
        ("Thu Jan  1 12:00:30 2026", 30),
        ("Thu, 01 Jan 2026 13:00:30 +0100", 30),
        ("Thu, 01 Jan 2026 11:59:00 GMT", 0),
        ("-5", 0),
        ("1e3", 0),
        ("٣", 0),
        ("soon", 0),
        ("Thu, 99 Jan 2026 12:00:30 GMT", 0),
        ("Thu, 01 Jan 99999999999999999999 12:00:30 GMT", 0),
        ("Thu, 01 Jan 2026 12:00:30 +9999999999999999", 0),
    ],
)
def test_how_long_a_server_asks_to_wait(header: str | None, wait_s: float) -> None:
    """Claim: seconds and the three forms of an HTTP date (RFC 9110, 5.6.7); what is neither says nothing."""
    verdict = of_status(503, "h", header, NOW)
    assert isinstance(verdict, MediaMayPass)
    assert verdict.wait_s == wait_s


def test_only_some_statuses_may_pass() -> None:
    """Claim: these of all statuses; the rest would be the same again."""
    passing = [code for code in range(201, 1000) if isinstance(of_status(code, "h", None, NOW), MediaMayPass)]
    assert passing == [408, 429, *range(500, 600)]


@pytest.mark.parametrize(
    ("error", "may_pass", "detail"),
    [
        (ConnectionResetError(errno.ECONNRESET, "x"), True, "h: Connection reset by peer"),
        (OSError(errno.ENETUNREACH, "x"), True, "h: Network is unreachable"),
        (OSError("Multiple exceptions: 10.0.0.1"), True, "h: no connection"),
        (socket.gaierror(socket.EAI_AGAIN, "x"), True, "h: the name service does not answer"),
        (socket.gaierror(socket.EAI_NONAME, "x"), False, "h: no such host"),
        (aiohttp.ClientPayloadError("x"), True, "h: the transfer broke off"),
        (aiohttp.ConnectionTimeoutError("x"), True, "h: no connection in time"),
        (aiohttp.InvalidURL("http://secret"), False, "h: the URL is malformed"),
        (UnicodeError("label too long"), False, "h: the URL is malformed"),
        (aiohttp.ClientError("http://secret"), False, "h: ClientError"),
    ],
)
def test_failures_are_told_apart(error: Exception, *, may_pass: bool, detail: str) -> None:
    """Claim: what is the network's may pass, what is the URL's may not; no text of the library's."""
    verdict = of_error(error, "h")
    assert type(verdict) is (MediaMayPass if may_pass else MediaUnavailable)
    assert (verdict.reason, verdict.detail) == (MissingReason.UNREACHABLE, detail)
