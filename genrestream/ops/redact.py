"""Addresses as they may be shown: a URL can carry a user and a password."""

from urllib.parse import urlsplit, urlunsplit


def without_credentials(url: str) -> str:
    """The URL without user and password; what cannot be taken apart is not shown at all."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(an address that is no URL)"
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
