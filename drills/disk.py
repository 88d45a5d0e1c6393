"""A disk of its own for the model repository, small enough to be filled.

A tmpfs needs a mount, and a mount root or a user namespace. A process that does nothing else holds both; all
others reach the disk through its `/proc/PID/root`, so that none of them runs differently for it.
"""

import errno
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT_OF_A_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
BLOCK_BYTES = 64 * 1024


class NoNamespacesError(Exception):
    """This machine lets nobody but root mount; one line for people."""


class SmallDisk:
    """The disk and what fills it."""

    def __init__(self, folder: Path) -> None:
        """`folder` is where it is mounted."""
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, leave_bytes: int) -> None:
        """Leave room for so many bytes, to a block."""
        with self._ballast.open("wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(BLOCK_BYTES))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
            ballast.truncate(max(0, ballast.tell() - leave_bytes))

    def free(self) -> None:
        """Take away what fills it."""
        self._ballast.unlink(missing_ok=True)


@contextmanager
def small_disk(size_bytes: int) -> Iterator[SmallDisk]:
    """A disk of this size for as long as the block lasts; it ends with this process, however that ends.

    Raises:
        NoNamespacesError: it cannot be mounted.
    """
    with tempfile.TemporaryDirectory(prefix="genrestream-disk-") as point:
        mount = f"mount -t tmpfs -o size={size_bytes} tmpfs {point} && echo mounted && exec cat"
        try:
            holder = subprocess.Popen(
                [*ROOT_OF_A_NAMESPACE, "sh", "-c", mount],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        except FileNotFoundError as error:
            raise NoNamespacesError("unshare is not on the PATH: it is in Debian's util-linux") from error
        # Leaving the block closes its input, which ends it.
        with holder:
            if not holder.stdout or holder.stdout.readline() != "mounted\n":
                reason = holder.stderr.read().strip() if holder.stderr else ""
                raise NoNamespacesError(f"no small disk can be mounted: {reason}")
            yield SmallDisk(Path(f"/proc/{holder.pid}/root{point}"))
