"""`file://` media: only regular files under the allowed folder."""

import os
from pathlib import Path

import pytest

from genrestream.schemas import InlineMedia, MediaReference, MissingReason
from genrestream.workers.errors import MediaUnavailable
from genrestream.workers.media import MediaFetcher, MediaLimits
from genrestream.workers.media_file import _read

LIMITS = MediaLimits(max_bytes=1000, total_s=5)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a picture, beside one that is out of bounds."""
    (tmp_path / "secret.txt").write_bytes(b"secret")
    folder = tmp_path / "media"
    (folder / "covers").mkdir(parents=True)
    (folder / "covers" / "ä b.jpg").write_bytes(b"picture")
    return folder


async def fetch(url: str, allowed_root: Path | None) -> bytes:
    async with MediaFetcher(LIMITS, allowed_root) as fetcher:
        return await fetcher.fetch(MediaReference(url=url))


async def refused(url: str, allowed_root: Path | None) -> tuple[MissingReason, str]:
    with pytest.raises(MediaUnavailable) as raised:
        await fetch(url, allowed_root)
    return raised.value.reason, raised.value.detail


async def test_a_file_below_the_root_is_read(root: Path) -> None:
    """Percent-encoded or not, with or without localhost as the host."""
    assert await fetch((root / "covers" / "ä b.jpg").as_uri(), root) == b"picture"
    assert await fetch(f"file://localhost{root}/covers/ä b.jpg", root) == b"picture"
    assert await fetch(f"FILE://{root}/covers/../covers/ä b.jpg", root) == b"picture"


async def test_a_link_that_stays_inside_is_followed(root: Path) -> None:
    (root / "cover.jpg").symlink_to(root / "covers" / "ä b.jpg")
    assert await fetch((root / "cover.jpg").as_uri(), root) == b"picture"


async def test_an_allowed_root_may_be_a_link(root: Path, tmp_path: Path) -> None:
    """The root is resolved as the file is."""
    (tmp_path / "link").symlink_to(root)
    assert await fetch(f"file://{tmp_path}/link/covers/ä b.jpg", tmp_path / "link") == b"picture"


async def test_nothing_outside_the_root_is_read(root: Path, tmp_path: Path) -> None:
    """Neither by dots, encoded dots, links, a sibling's name nor another host; what is there is not told."""
    (root / "way-out").symlink_to(tmp_path / "secret.txt")
    (root / "folder-out").symlink_to(tmp_path)
    (tmp_path / "media-too").mkdir()
    (tmp_path / "media-too" / "x").write_bytes(b"x")
    for url in (
        f"file://{tmp_path}/secret.txt",
        f"file://{tmp_path}/absent.txt",
        f"file://{root}/../secret.txt",
        f"file://{root}/%2e%2e/secret.txt",
        f"file://{root}/way-out",
        f"file://{root}/folder-out/secret.txt",
        f"file://{tmp_path}/media-too/x",
        f"file://example.org{root}/covers/ä b.jpg",
        "file:///etc/passwd",
    ):
        assert await refused(url, root) == (
            MissingReason.FORBIDDEN,
            "the file lies outside the allowed folder",
        ), url


def test_a_link_that_comes_between_check_and_reading_leads_nowhere(root: Path, tmp_path: Path) -> None:
    """Reading trusts no path: where it leads is asked of what was taken hold of, and that is what is read."""
    (root / "covers" / "ä b.jpg").rename(root / "ä b.jpg")
    (root / "covers").rmdir()
    (root / "covers").symlink_to(tmp_path)
    with pytest.raises(MediaUnavailable, match="the file lies outside the allowed folder"):
        _read(str(root / "covers" / "secret.txt"), root, LIMITS)
    (root / "ä b.jpg").unlink()
    (root / "ä b.jpg").symlink_to(tmp_path / "secret.txt")
    with pytest.raises(MediaUnavailable, match="the file lies outside the allowed folder"):
        _read(str(root / "ä b.jpg"), root, LIMITS)


async def test_without_a_root_no_file_is_read(root: Path) -> None:
    assert await refused((root / "covers" / "ä b.jpg").as_uri(), None) == (
        MissingReason.FORBIDDEN,
        "no folder is allowed for file:// media",
    )


async def test_what_is_no_readable_file(root: Path) -> None:
    """Absent files, folders, pipes that nobody writes to, zero bytes, names too long, loops of links."""
    os.mkfifo(root / "pipe")
    (root / "loop").symlink_to(root / "loop")
    assert await refused(f"file://{root}/absent.jpg", root) == (
        MissingReason.NOT_FOUND,
        "there is no such file",
    )
    assert await refused(f"file://{root}/covers/ä b.jpg/x", root) == (
        MissingReason.NOT_FOUND,
        "there is no such file",
    )
    for name in ("covers", "pipe"):
        assert await refused(f"file://{root}/{name}", root) == (
            MissingReason.FORBIDDEN,
            "the path names no regular file",
        )
    assert (await refused(f"file://{root}/a%00b", root))[0] is MissingReason.FORBIDDEN
    # Where resolving gives up on them differs between versions of Python.
    for name in ("x" * 300, "loop"):
        reason, _ = await refused(f"file://{root}/{name}", root)
        assert reason in {MissingReason.FORBIDDEN, MissingReason.UNREACHABLE}


async def test_bytes_are_limited_before_reading(root: Path) -> None:
    """1,000 bytes are read, 1,001 are not; a file with a hole of a terabyte costs nothing."""
    (root / "fits").write_bytes(b"x" * 1000)
    with (root / "huge").open("wb") as file:
        file.truncate(10**12)
    assert len(await fetch(f"file://{root}/fits", root)) == 1000
    assert await refused(f"file://{root}/huge", root) == (
        MissingReason.TOO_LARGE,
        "the medium has 1,000,000,000,000 bytes, allowed are 1,000",
    )


@pytest.mark.parametrize(
    "url", ["ftp://h/x", "data:image/png;base64,AAAA", "covers/1.jpg", "memory://x", "://", "x"]
)
async def test_other_schemes_are_forbidden(url: str, root: Path) -> None:
    """Nothing but http, https, file, s3 and gs is read, whatever fsspec could."""
    assert (await refused(url, root))[0] is MissingReason.FORBIDDEN


async def test_inline_media_are_given_as_they_are() -> None:
    """Decoded from base64 by the schema; the limit on bytes holds for them too."""
    async with MediaFetcher(LIMITS) as fetcher:
        assert await fetcher.fetch(InlineMedia(data=b"cGljdHVyZQ==")) == b"picture"
        with pytest.raises(MediaUnavailable, match=r"the medium has 1,002 bytes, allowed are 1,000"):
            await fetcher.fetch(InlineMedia(data=b"AAAA" * 334))
