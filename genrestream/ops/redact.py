"""Addresses as they may be shown: a URL can carry a user and a password."""

from urllib.parse import urlsplit, urlunsplit

NO_URL = "(an address that is no URL)"


def without_credentials(url: str) -> str:
    """The URL without user, password and options; what cannot be taken apart is not shown at all.

    A password with an unescaped `/`, `?` or `#` ends the host part early, so that a piece of it stands as the
    port, or its `@` behind the host part.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return NO_URL
    if "@" in parts.path + parts.query + parts.fragment:
        return NO_URL
    shown = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="")
    return urlunsplit(shown)
