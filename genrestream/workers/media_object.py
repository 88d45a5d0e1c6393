"""`s3://` and `gs://` media through fsspec and the driver that the operator installed."""

import fsspec

from genrestream.schemas import MissingReason
from genrestream.workers.errors import MediaUnavailable
from genrestream.workers.media_limits import MediaLimits

OBJECT_STORES = {"s3": "s3fs (the extra genrestream[s3])", "gs": "gcsfs (the extra genrestream[gcs])"}
"""Scheme -> the driver that it needs. Others of fsspec's schemes reach where they should not."""


def read_object(scheme: str, path: str, allowed_buckets: frozenset[str], limits: MediaLimits) -> bytes:
    """The bytes of the object `bucket/key`, by the worker's own credentials, from an allowed bucket only.

    Blocks. Raises MediaUnavailable.
    """
    bucket, *key = path.split("/")
    # The credentials may open more than strangers are to read; no key leads out of its bucket either.
    if f"{scheme}://{bucket}" not in allowed_buckets or not {".", ".."}.isdisjoint(key):
        detail = f"the {scheme}:// address is none that media are read from"
        raise MediaUnavailable(MissingReason.FORBIDDEN, detail)
    url = f"{scheme}://{path}"
    try:
        store = fsspec.filesystem(scheme)
    except ImportError as error:
        detail = f"{scheme}:// media need the package {OBJECT_STORES[scheme]}"
        raise MediaUnavailable(MissingReason.FORBIDDEN, detail) from error
    try:
        return _read(store, url, limits)
    except MediaUnavailable:
        raise
    except (FileNotFoundError, IsADirectoryError) as error:
        raise MediaUnavailable(MissingReason.NOT_FOUND, f"there is no such object in {scheme}://") from error
    except PermissionError as error:
        detail = f"{scheme}:// refuses the worker's credentials"
        raise MediaUnavailable(MissingReason.FORBIDDEN, detail) from error
    except TimeoutError as error:
        raise limits.timed_out() from error
    except Exception as error:
        # Each driver brings exceptions of its own, with no base in common.
        detail = f"{scheme}:// gave {type(error).__name__}"
        raise MediaUnavailable(MissingReason.UNREACHABLE, detail) from error


def _read(store: fsspec.AbstractFileSystem, url: str, limits: MediaLimits) -> bytes:
    size_bytes = int(store.info(url)["size"])
    if size_bytes > limits.max_bytes:
        raise limits.too_large(size_bytes)
    return bytes(store.cat_file(url, start=0, end=size_bytes))
