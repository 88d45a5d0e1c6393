"""Files and folders that are there completely or not at all, also after a crash or a power cut.

Written under a temporary name beside the target, synced, renamed, and the parent synced.
"""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from shutil import copyfileobj

COPY_BUFFER_BYTES = 1024 * 1024


def sync(path: Path) -> None:
    """Bring a file's bytes, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace the file by `data`; a reader sees the old bytes or the new ones.

    Raises:
        OSError: the folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def fill_folder(directory: Path, files: Mapping[str, bytes | Path]) -> None:
    """Write the files into the folder and bring them to the disk; a path is copied.

    Raises:
        OSError: a source cannot be read or the folder cannot be written.
    """
    for name, content in files.items():
        with (directory / name).open("xb") as target:
            if isinstance(content, bytes):
                target.write(content)
            else:
                with content.open("rb") as source:
                    copyfileobj(source, target, COPY_BUFFER_BYTES)
            target.flush()
            os.fsync(target.fileno())
    sync(directory)
