"""Media references and inline media to bytes, within limits on bytes, time and requests in flight."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from genrestream.schemas import InlineMedia, MediaReference, MissingReason
from genrestream.workers.errors import MediaUnavailable
from genrestream.workers.media_address import AddressPolicy
from genrestream.workers.media_file import read_file
from genrestream.workers.media_http import HttpMedia
from genrestream.workers.media_limits import MediaLimits
from genrestream.workers.media_object import OBJECT_STORES, read_object

__all__ = ["MediaFetcher", "MediaLimits"]

_MAX_SCHEME_CHARS = 20


class MediaFetcher:
    """Reads what items refer to. Use it as an asynchronous context manager.

    `allowed_root` is the only folder that `file://` reaches into; None forbids `file://`. `addresses` says
    where `http(s)://` may lead: without it to public addresses only. `on_retry` is called before each retry.
    `allowed_buckets` are the only ones that `s3://` and `gs://` reach, such as `s3://covers`.
    """

    def __init__(
        self,
        limits: MediaLimits | None = None,
        allowed_root: Path | None = None,
        addresses: AddressPolicy | None = None,
        on_retry: Callable[[], None] = lambda: None,
        allowed_buckets: Iterable[str] = (),
    ) -> None:
        self._limits = limits or MediaLimits()
        self._allowed_root = allowed_root.resolve() if allowed_root is not None else None
        self._allowed_buckets = frozenset(allowed_buckets)
        self._http = HttpMedia(self._limits, addresses or AddressPolicy(), on_retry)
        # Of its own: a store or a disk that hangs must not take the event loop's threads from others.
        self._threads = ThreadPoolExecutor(self._limits.max_threads, "media")

    async def __aenter__(self) -> Self:
        await self._http.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def open_circuits(self) -> int:
        """Hosts that are left alone after many failures."""
        return self._http.open_circuits

    async def fetch(self, media: MediaReference | InlineMedia) -> bytes:
        """The bytes of a picture or recording, at most `max_bytes`.

        Raises MediaUnavailable with the reason that the label record will carry; its text names the host
        at most, never a path, a query or credentials.
        """
        if isinstance(media, InlineMedia):
            if len(media.data) > self._limits.max_bytes:
                raise self._limits.too_large(len(media.data))
            return media.data
        scheme, separator, path = media.url.partition("://")
        scheme = scheme.lower()
        if not separator:
            raise MediaUnavailable(MissingReason.FORBIDDEN, "the media reference is no URL with a scheme")
        if scheme in {"http", "https"}:
            return await self._http.fetch(media.url)
        if scheme == "file":
            return await self._in_thread(lambda: read_file(media.url, self._allowed_root, self._limits))
        if scheme in OBJECT_STORES:
            return await self._in_thread(
                lambda: read_object(scheme, path, self._allowed_buckets, self._limits)
            )
        raise MediaUnavailable(
            MissingReason.FORBIDDEN, f"media are not read by the scheme {scheme[:_MAX_SCHEME_CHARS]!r}"
        )

    async def _in_thread(self, read: Callable[[], bytes]) -> bytes:
        """What a blocking reader gives; a thread that hangs goes on alone when the time has passed."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._limits.total_s):
                return await loop.run_in_executor(self._threads, read)
        except TimeoutError as error:
            raise self._limits.timed_out() from error
