"""No stranger's URL makes a worker connect inside: real sockets, and real servers that nobody reaches."""

import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from ipaddress import ip_network
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from genrestream.schemas import MissingReason
from genrestream.workers.media_address import AddressPolicy
from genrestream.workers.media_http import HttpMedia
from genrestream.workers.media_limits import MediaLimits
from tests.integration.media.servers import LOOPBACK, OTHER_ADDRESS, BareServer, HttpServer, refused
from tests.this_machine import needs_localhost

LIMITS = MediaLimits(total_s=5, max_attempts=1)
REFUSED = (MissingReason.FORBIDDEN, "the URL leads to an address or port that media are not fetched from")
ONLY_OTHER = (ip_network(f"{OTHER_ADDRESS}/32"),)
Open = Callable[..., Awaitable[HttpMedia]]


class Names(AbstractResolver):
    """A name service of the stranger's: each look-up gives the next answer, the last one from then on."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        addresses = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in addresses
        ]

    async def close(self) -> None:
        pass


@pytest.fixture
async def opened() -> AsyncIterator[Open]:
    """Makes clients with a policy on addresses, and closes them."""
    async with AsyncExitStack() as stack:

        async def client(policy: AddressPolicy, **arguments: object) -> HttpMedia:
            media = HttpMedia(LIMITS, policy, lambda: None, **arguments)  # type: ignore[arg-type]
            await media.open()
            stack.push_async_callback(media.close)
            return media

        yield client


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "host",
    [
        *(pytest.param(name, marks=needs_localhost) for name in ("localhost", "LOCALHOST")),
        *("127.0.0.1", "0.0.0.0", "127.255.0.1"),
        *("0x7f000001", "0x7f.1", "0177.0.0.0x1", "127.0.0x1", "１２７.0.0.1", "①27.0.0.1"),
        *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[64:ff9b::7f00:1]"),
        *("[fe80::1%25lo]", "[2002:7f00:1::]"),
    ],
)
async def test_nothing_inside_is_connected_to(bare: BareServer, opened: Open, scheme: str, host: str) -> None:
    """Claim: however the address is spelt, by either scheme, the server on loopback sees no connection, and
    the refusal tells nothing of what was asked for.
    """
    media = await opened(AddressPolicy(ports=(bare.port,)))
    reason, detail = await refused(media.fetch, f"{scheme}://{host}:{bare.port}/secret")
    assert (reason, detail) == REFUSED
    assert bare.connections == 0


@pytest.mark.parametrize("host", ["127.1", "2130706433", "017700000001", "0177.0.0.1", "127.0.1"])
async def test_short_forms_of_addresses_are_no_hosts(bare: BareServer, opened: Open, host: str) -> None:
    """Claim: digits that are no address in four parts are refused even where loopback is allowed."""
    media = await opened(LOOPBACK)
    assert (await refused(media.fetch, f"http://{host}:{bare.port}/"))[0] is MissingReason.UNREACHABLE
    assert bare.connections == 0


async def test_an_allowed_network_is_reached_and_no_other(server: HttpServer, opened: Open) -> None:
    """Claim: an operator's allowance opens that network."""
    media = await opened(AddressPolicy(ONLY_OTHER))
    assert await media.fetch(f"http://{OTHER_ADDRESS}:{server.port}/ok") == b"picture"
    assert await refused(media.fetch, f"{server.url}/ok") == REFUSED
    assert len(server.requests) == 1


async def test_a_redirect_does_not_lead_inside(server: HttpServer, bare: BareServer, opened: Open) -> None:
    """Claim: what a permitted server redirects to is held to the same policy."""
    media = await opened(AddressPolicy(ONLY_OTHER))
    for location in (f"{bare.url}/x", f"//127.0.0.1:{bare.port}/x", f"https://127.0.0.1:{bare.port}/x"):
        server.location = location
        assert await refused(media.fetch, f"http://{OTHER_ADDRESS}:{server.port}/away") == REFUSED
    assert bare.connections == 0


async def test_a_name_that_changes_its_mind_does_not_lead_inside(
    server: HttpServer, bare: BareServer, opened: Open
) -> None:
    """Claim: DNS rebinding. The name's first answer is permitted and used; its second is 127.0.0.1, where a
    server listens that sees no connection.
    """
    names = Names([OTHER_ADDRESS], ["127.0.0.1"])
    media = await opened(AddressPolicy(ONLY_OTHER), names=names)
    server.location = f"http://rebind.test:{bare.port}/x"
    assert await media.fetch(f"http://rebind.test:{server.port}/ok") == b"picture"
    assert await refused(media.fetch, f"http://rebind.test:{server.port}/away") == REFUSED
    assert names.asked == 2
    assert bare.connections == 0


async def test_of_several_addresses_the_permitted_ones_are_used(
    server: HttpServer, bare: BareServer, opened: Open
) -> None:
    """Claim: an answer that mixes them gives no way inside, whether the permitted address works or not."""
    media = await opened(AddressPolicy(ONLY_OTHER), names=Names(["127.0.0.1", OTHER_ADDRESS]))
    assert await media.fetch(f"http://mixed.test:{server.port}/ok") == b"picture"
    # Nothing listens at the other address of this port.
    reason, _ = await refused(media.fetch, f"http://mixed.test:{bare.port}/ok")
    assert reason in {MissingReason.FORBIDDEN, MissingReason.UNREACHABLE}
    assert bare.connections == 0


async def test_a_proxy_of_the_environment_is_not_used(
    server: HttpServer, bare: BareServer, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Claim: no proxy connects in our place."""
    for variable in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, bare.url)
    media = await opened(LOOPBACK)
    assert await media.fetch(f"{server.url}/ok") == b"picture"
    assert bare.connections == 0


async def test_credentials_stay_with_their_origin(server: HttpServer, opened: Open) -> None:
    """Claim: those of the item's URL follow a redirect on the same origin, and go nowhere else; those that a
    redirect brings along are not used.
    """
    media = await opened(LOOPBACK)
    other = f"http://{OTHER_ADDRESS}:{server.port}"
    for location in (
        "/ok",
        f"{server.url}/ok",
        f"{other}/ok",
        f"http://a:b@{OTHER_ADDRESS}:{server.port}/ok",
    ):
        server.location = location
        assert await media.fetch(server.url.replace("//", "//user:hunter2@") + "/away") == b"picture"
    sent = [request.headers.get("Authorization") for request in server.requests]
    basic = "Basic dXNlcjpodW50ZXIy"  # base64 of user:hunter2
    assert sent == [basic, basic, basic, basic, basic, None, basic, None]


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 with its key, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    file = tmp_path / "server.pem"
    subject = ("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
    subprocess.run(
        ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", *subject, "-keyout", file, "-out", file],
        check=True,
        capture_output=True,
    )
    return file


async def test_redirects_cross_from_http_to_https_and_back(
    server: HttpServer, opened: Open, certificate: Path
) -> None:
    """Claim: both directions are followed, without the credentials, over TLS that is verified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    seen: list[str | None] = []

    async def back(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response(status=302, headers={"Location": f"{server.url}/ok"})

    app = web.Application()
    app.add_routes([web.get("/back", back)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    server.location = str(
        URL.build(scheme="https", host="127.0.0.1", port=runner.addresses[0][1], path="/back")
    )
    url = server.url.replace("//", "//user:hunter2@") + "/away"
    try:
        trusting = await opened(LOOPBACK, tls=ssl.create_default_context(cafile=certificate))
        assert await trusting.fetch(url) == b"picture"
        assert seen == [None]
        assert server.requests[-1].headers.get("Authorization") is None
        # The same without trust in the certificate.
        assert await refused((await opened(LOOPBACK)).fetch, url) == (
            MissingReason.UNREACHABLE,
            "127.0.0.1: no TLS connection",
        )
        assert len(seen) == 1
    finally:
        await runner.cleanup()
