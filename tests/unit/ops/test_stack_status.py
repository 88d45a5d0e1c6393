"""What `status` shows of servers that the user has."""

from dataclasses import asdict

from genrestream.ops import status
from genrestream.ops.state import StackState

NOWHERE = "127.0.0.1:1"


def test_a_password_in_an_address_is_not_shown(tmp_path):
    """The user's own Redis is asked at its full address and shown without user and password."""
    state = StackState(
        marker="abc",
        directory=str(tmp_path),
        models="/models",
        started_at="2026-01-02T03:04:05+00:00",
        kafka_bootstrap=NOWHERE,
        redis_url=f"redis://reader:secret@{NOWHERE}/0",
        triton_url=NOWHERE,
        triton_http_url=None,
        prometheus_url=None,
        servers=(),
    )
    shown = {server.name: asdict(server) for server in status.check(state)}
    assert shown["redis"]["addresses"] == {"url": f"redis://{NOWHERE}/0"}
    assert shown["kafka"]["addresses"] == {"bootstrap": NOWHERE}
    assert not any(server["ready"] for server in shown.values())
