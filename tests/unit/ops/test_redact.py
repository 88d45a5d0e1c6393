"""No password is shown with an address."""

import pytest

from genrestream.ops.redact import NO_URL, without_credentials


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://reader:s3cret@cache:6379/0", "redis://cache:6379/0"),
        ("redis://:a@b@cache:6379/0", "redis://cache:6379/0"),
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("redis://h:6379/0?password=s3cret", "redis://h:6379/0"),
        ("redis://h:6379/0#s3cret", "redis://h:6379/0"),
        ("nonsense", "nonsense"),
        ("redis://user:s3cret@[::1", NO_URL),
        # Unescaped, they end the host part: in it stand the user and the password's beginning.
        ("redis://user:s3/cret@h:6379/0", NO_URL),
        ("redis://user:s3?cret@h:6379/0", NO_URL),
        ("redis://user:s3#cret@h:6379/0", NO_URL),
        ("redis://user:12/s3cret@h:6379/0", NO_URL),
        ("redis://h:6379/0?password=s3@cret", NO_URL),
        ("redis://:s3cret", NO_URL),
    ],
)
def test_credentials_are_left_out(url: str, shown: str) -> None:
    """Claim: user, password and options never appear; of what is no URL nothing does."""
    assert without_credentials(url) == shown
