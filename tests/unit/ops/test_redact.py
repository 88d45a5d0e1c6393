"""No password is shown with an address."""

import pytest

from genrestream.ops.redact import without_credentials


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://reader:s3cret@cache:6379/0", "redis://cache:6379/0"),
        ("redis://:a@b@cache:6379/0", "redis://cache:6379/0"),
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://user:s3cret@[::1", "(an address that is no URL)"),
    ],
)
def test_credentials_are_left_out(url: str, shown: str) -> None:
    """Claim: user and password never appear, the rest of the address stays."""
    assert without_credentials(url) == shown
