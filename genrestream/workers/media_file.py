"""`file://` media: regular files under one allowed folder."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from genrestream.schemas import MissingReason
from genrestream.workers.errors import MediaUnavailable
from genrestream.workers.media_limits import MediaLimits

OUTSIDE = "the file lies outside the allowed folder"


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
        raise MediaUnavailable(MissingReason.FORBIDDEN, OUTSIDE)
    try:
        return _read(path, allowed_root, limits)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MediaUnavailable(MissingReason.NOT_FOUND, "there is no such file") from error
    except PermissionError as error:
        raise MediaUnavailable(MissingReason.FORBIDDEN, "the file may not be read") from error
    except OSError as error:
        reason = f"the file cannot be read: {error.strerror}"
        raise MediaUnavailable(MissingReason.UNREACHABLE, reason) from error


def _read(path: Path, allowed_root: Path, limits: MediaLimits) -> bytes:
    # O_PATH takes hold of the file without opening it: nothing happens to a device or a pipe.
    with _opened(path, os.O_PATH | os.O_NOFOLLOW) as found:
        held = Path(f"/proc/self/fd/{found}")
        # The path was resolved before, but a folder on it may have become a link since.
        if not held.readlink().is_relative_to(allowed_root):
            raise MediaUnavailable(MissingReason.FORBIDDEN, OUTSIDE)
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise MediaUnavailable(MissingReason.FORBIDDEN, "the path names no regular file")
        # Opens what is held, whatever the path names by now.
        with _opened(held, os.O_RDONLY) as readable, open(readable, "rb", closefd=False) as file:
            size_bytes = os.fstat(readable).st_size
            if size_bytes > limits.max_bytes:
                raise limits.too_large(size_bytes)
            # A file that grows meanwhile is read as it was.
            return file.read(size_bytes)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """The descriptor of the file, closed at the end."""
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
