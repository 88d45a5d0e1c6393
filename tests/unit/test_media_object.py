"""`s3://` and `gs://` media: fsspec itself, with its in-memory store in the place of the network's."""

from collections.abc import Iterator

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.registry import _registry
from pydantic import ValidationError

from genrestream.schemas import MediaReference, MissingReason
from genrestream.workers.errors import MediaUnavailable
from genrestream.workers.media import MediaFetcher, MediaLimits
from genrestream.workers.settings import WorkerSettings


class Bucket(MemoryFileSystem):
    """A store with the scheme s3, two objects and two ways to fail."""

    protocol = "s3"
    store: dict[str, object] = {}  # noqa: RUF012 - fsspec's own way to keep one
    pseudo_dirs = [""]  # noqa: RUF012
    asked: list[str] = []  # noqa: RUF012 - what was asked for

    def info(self, path: str, **options: object) -> dict[str, object]:
        self.asked.append(path)
        if "private" in path:
            raise PermissionError("Access Denied")
        if "strange" in path:
            raise LookupError("NoCredentialsError of some driver")
        return dict(super().info(self._strip_protocol(path), **options))

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("s3://").strip("/")


@pytest.fixture(autouse=True)
def bucket() -> Iterator[None]:
    known = _registry.get("s3")
    fsspec.register_implementation("s3", Bucket, clobber=True)
    Bucket.asked = []
    Bucket().pipe(
        {"/covers/1.jpg": b"picture", "/covers/large.jpg": b"x" * 1001, "/salaries/1.jpg": b"secret"}
    )
    yield
    _registry.pop("s3")
    if known is not None:
        _registry["s3"] = known


async def fetch(url: str) -> bytes:
    limits = MediaLimits(max_bytes=1000, total_s=5)
    async with MediaFetcher(limits, allowed_buckets=["s3://covers", "gs://covers"]) as fetcher:
        return await fetcher.fetch(MediaReference(url=url))


async def test_an_object_is_read() -> None:
    assert await fetch("s3://covers/1.jpg") == b"picture"
    assert await fetch("S3://covers/1.jpg") == b"picture"


@pytest.mark.parametrize(
    "url",
    [
        "s3://salaries/1.jpg",
        "s3://salaries",
        "s3://",
        "s3:///covers/1.jpg",
        "s3://covers2/1.jpg",
        "s3://Covers/1.jpg",
        "s3://covers@salaries/1.jpg",
        "s3://covers::salaries/1.jpg",
        "s3://s3://salaries/1.jpg",
        "s3://covers/../salaries/1.jpg",
        "s3://covers/./1.jpg",
    ],
)
async def test_other_buckets_are_asked_for_nothing(url: str) -> None:
    """The worker's credentials may open more than strangers are to read."""
    with pytest.raises(MediaUnavailable) as raised:
        await fetch(url)
    detail = "the s3:// address is none that media are read from"
    assert (raised.value.reason, raised.value.detail) == (MissingReason.FORBIDDEN, detail)
    assert not Bucket.asked


async def test_no_bucket_is_allowed_by_default() -> None:
    """An operator names those that hold media."""
    async with MediaFetcher() as fetcher:
        with pytest.raises(MediaUnavailable) as raised:
            await fetcher.fetch(MediaReference(url="s3://covers/1.jpg"))
    assert raised.value.reason is MissingReason.FORBIDDEN
    assert not Bucket.asked


def test_buckets_are_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Separated by commas, each with its scheme and without a path."""
    monkeypatch.setenv("GENRESTREAM_MEDIA_BUCKETS", "s3://covers, gs://audio.example.org")
    assert WorkerSettings().media_buckets == ("s3://covers", "gs://audio.example.org")
    for wrong in ("covers", "s3://", "s3://covers/", "s3://covers/folder", "http://covers", "s3://*"):
        monkeypatch.setenv("GENRESTREAM_MEDIA_BUCKETS", wrong)
        with pytest.raises(ValidationError):
            WorkerSettings()


@pytest.mark.parametrize(
    ("url", "reason", "detail"),
    [
        ("s3://covers/absent.jpg", MissingReason.NOT_FOUND, "there is no such object in s3://"),
        ("s3://covers/private.jpg", MissingReason.FORBIDDEN, "s3:// refuses the worker's credentials"),
        ("s3://covers/large.jpg", MissingReason.TOO_LARGE, "the medium has 1,001 bytes, allowed are 1,000"),
        ("s3://covers/strange.jpg", MissingReason.UNREACHABLE, "s3:// gave LookupError"),
    ],
)
async def test_failures_have_their_reason(url: str, reason: MissingReason, detail: str) -> None:
    """What the store says becomes a reason of the closed list; its text, which may hold keys, is not told."""
    with pytest.raises(MediaUnavailable) as raised:
        await fetch(url)
    assert (raised.value.reason, raised.value.detail) == (reason, detail)


async def test_a_driver_that_is_not_installed_is_named() -> None:
    """The operator reads in the label record which package to add."""
    try:
        import gcsfs  # noqa: F401
    except ImportError:
        with pytest.raises(MediaUnavailable, match=r"gs:// media need the package gcsfs") as raised:
            await fetch("gs://covers/1.jpg")
        assert raised.value.reason is MissingReason.FORBIDDEN
    else:
        pytest.skip("gcsfs is installed here")
