"""`file://` media: regular files under one allowed folder."""

import os
import stat
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from genrestream.schemas import MissingReason
from genrestream.workers.errors import MediaUnavailable
from genrestream.workers.media_limits import MediaLimits

OUTSIDE = "the file lies outside the allowed folder"
NO_PATH = "the file:// URL names no path"


def read_file(url: str, allowed_root: Path | None, limits: MediaLimits) -> bytes:
    """The file's bytes. `allowed_root` must be resolved; None allows no file.

    Raises MediaUnavailable. Whether a file outside the root exists is not told.
    """
    if allowed_root is None:
        raise MediaUnavailable(MissingReason.FORBIDDEN, "no folder is allowed for file:// media")
    try:
        parts = urlsplit(url)
        path = url2pathname(parts.path)
        if parts.netloc not in {"", "localhost"} or not path.startswith("/"):
            raise MediaUnavailable(MissingReason.FORBIDDEN, OUTSIDE)
        return _read(path, allowed_root, limits)
    except ValueError as error:
        # A zero byte, a broken host part.
        raise MediaUnavailable(MissingReason.FORBIDDEN, NO_PATH) from error
    except OSError as error:
        if not _lies_below(path, allowed_root):
            raise MediaUnavailable(MissingReason.FORBIDDEN, OUTSIDE) from error
        raise _unavailable(error) from error


def _read(path: str, allowed_root: Path, limits: MediaLimits) -> bytes:
    # O_PATH takes hold of what the path names without opening it: nothing happens to a device or a pipe.
    # The kernel then tells where that lies; to resolve the path here first took twice as long as all of this.
    found = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        held = f"/proc/self/fd/{found}"
        if not os.readlink(held).startswith(f"{allowed_root}/".replace("//", "/")):
            raise MediaUnavailable(MissingReason.FORBIDDEN, OUTSIDE)
        status = os.fstat(found)
        if not stat.S_ISREG(status.st_mode):
            raise MediaUnavailable(MissingReason.FORBIDDEN, "the path names no regular file")
        if status.st_size > limits.max_bytes:
            raise limits.too_large(status.st_size)
        # Opens what is held, whatever the path names by now.
        file = os.open(held, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # A file that grows meanwhile is read as it was.
            return _read_bytes(file, status.st_size)
        finally:
            os.close(file)
    finally:
        os.close(found)


def _read_bytes(file: int, size_bytes: int) -> bytes:
    """At most so many. In few calls: each lets go of the interpreter's lock, and has to wait for it again."""
    parts = []
    while size_bytes and (part := os.read(file, size_bytes)):
        parts.append(part)
        size_bytes -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _lies_below(path: str, allowed_root: Path) -> bool:
    """Whether the path, which could not be read, would name something below the root."""
    try:
        return Path(path).resolve().is_relative_to(allowed_root)
    except (OSError, RuntimeError):
        # A loop of links is a RuntimeError before Python 3.13.
        return False


def _unavailable(error: OSError) -> MediaUnavailable:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return MediaUnavailable(MissingReason.NOT_FOUND, "there is no such file")
    if isinstance(error, PermissionError):
        return MediaUnavailable(MissingReason.FORBIDDEN, "the file may not be read")
    return MediaUnavailable(MissingReason.UNREACHABLE, f"the file cannot be read: {error.strerror}")
