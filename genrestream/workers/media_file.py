"""`file://` media: regular files under one allowed folder."""

import os
import stat
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from genrestream.schemas import MissingReason
from genrestream.workers.errors import MediaUnavailable
from genrestream.workers.media_limits import MediaLimits


def read_file(url: str, allowed_root: Path | None, limits: MediaLimits) -> bytes:
    """The file's bytes. `allowed_root` must be resolved; None allows no file.

    Raises MediaUnavailable. Whether a file outside the root exists is not told.
    """
    if allowed_root is None:
        raise MediaUnavailable(MissingReason.FORBIDDEN, "no folder is allowed for file:// media")
    try:
        parts = urlsplit(url)
        path = Path(url2pathname(parts.path)).resolve()
    except (ValueError, OSError, RuntimeError) as error:
        # A zero byte, a broken host part; a loop of links is a RuntimeError before Python 3.13.
        raise MediaUnavailable(MissingReason.FORBIDDEN, "the file:// URL names no path") from error
    if parts.netloc not in {"", "localhost"} or not path.is_relative_to(allowed_root):
        raise MediaUnavailable(MissingReason.FORBIDDEN, "the file lies outside the allowed folder")
    try:
        return _read(path, limits)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MediaUnavailable(MissingReason.NOT_FOUND, "there is no such file") from error
    except PermissionError as error:
        raise MediaUnavailable(MissingReason.FORBIDDEN, "the file may not be read") from error
    except OSError as error:
        reason = f"the file cannot be read: {error.strerror}"
        raise MediaUnavailable(MissingReason.UNREACHABLE, reason) from error


def _read(path: Path, limits: MediaLimits) -> bytes:
    # O_NOFOLLOW: the path is resolved, so a link here was put there since. O_NONBLOCK: opening a pipe
    # without a writer would wait for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise MediaUnavailable(MissingReason.FORBIDDEN, "the path names no regular file")
        if status.st_size > limits.max_bytes:
            raise limits.too_large(status.st_size)
        with open(descriptor, "rb", closefd=False) as file:
            # A file that grows meanwhile is read as it was.
            return file.read(status.st_size)
    finally:
        os.close(descriptor)
