"""Items from files and flags: what is read, what is refused, how media travel."""

import io
import json
from pathlib import Path

import pytest

from genrestream.client.items import (
    MAX_LINE_BYTES,
    BadLine,
    ItemError,
    MediaForm,
    build_item,
    count_lines,
    read_items,
)
from genrestream.schemas import Event, InlineMedia, Kind, MediaReference, Podcast, Track

MIB = 1024 * 1024


def write(folder: Path, *lines: str | bytes) -> Path:
    path = folder / "items.jsonl"
    path.write_bytes(b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines))
    return path


def test_catalogue_lines_become_items(tmp_path: Path) -> None:
    """`labels` and `group` are dropped, the rest is the item, in the file's order; blank lines are none."""
    path = write(
        tmp_path,
        '{"kind": "podcast", "id": "p1", "title": "A", "labels": {"genres": ["X"]}, "group": "g"}',
        "",
        '{"kind": "track", "id": "t1", "lyrics": "la", "artist_in_tracks": false}',
    )
    assert list(read_items(path)) == [Podcast(id="p1", title="A"), Track(id="t1", lyrics="la")]


def test_bad_lines_are_told_with_their_number(tmp_path: Path) -> None:
    """Every bad line is one `BadLine` with its number in the file, and the lines after it are read."""
    path = write(
        tmp_path,
        "not json",
        "[1]",
        '{"kind": "film", "id": "1"}',
        '{"kind": "event"}',
        b'{"kind": "event", "id": "\xff"}',
        '{"kind": "event", "id": "e", "title": 3, "schema_version": 9}',
        '{"kind": "event", "id": "last"}',
    )
    found = list(read_items(path))
    assert found[-1] == Event(id="last")
    bad = [line for line in found if isinstance(line, BadLine)]
    assert [line.number for line in bad] == [1, 2, 3, 4, 5, 6]
    assert bad[1].message == "no JSON object"
    assert bad[2].message == "kind: 'film' is none of event, podcast, track"
    assert bad[3].message == "id: Field required"
    assert bad[5].message.startswith("schema_version: Input should be less than or equal to 1; title:")


def test_a_line_without_end_is_not_held_in_memory() -> None:
    """A line over the limit is a bad line, read in pieces, and the next line is an item again."""
    stream = io.BytesIO(
        b'{"title": "' + b"x" * (3 * MAX_LINE_BYTES) + b'"}\n{"kind": "event", "id": "next"}\n'
    )
    assert list(read_items(stream)) == [
        BadLine(1, f"longer than {MAX_LINE_BYTES} bytes"),
        Event(id="next"),
    ]


def test_a_byte_order_mark_is_no_part_of_the_first_item(tmp_path: Path) -> None:
    """Files that Windows editors wrote are read."""
    assert list(read_items(write(tmp_path, b'\xef\xbb\xbf{"kind": "event", "id": "e"}'))) == [Event(id="e")]


def test_kind_fills_in_and_forbids(tmp_path: Path) -> None:
    """With `kind`, a line without one is of it, and a line of another kind is bad."""
    path = write(tmp_path, '{"id": "a"}', '{"kind": "track", "id": "b"}')
    assert list(read_items(path, kind=Kind.EVENT)) == [
        Event(id="a"),
        BadLine(2, "kind: track, but only kind event is taken"),
    ]


def test_media_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """As references they are absolute file URLs, escaped; web addresses stay as they are."""
    lines = [
        json.dumps({"kind": "event", "id": "a", "poster": "posters/1 #ü.jpg"}),
        json.dumps({"kind": "event", "id": "b", "poster": "https://example.org/p.jpg"}),
    ]
    first, second = read_items(write(tmp_path, *lines), media=MediaForm.FILE)
    assert isinstance(first, Event)
    assert first.poster == MediaReference(url=f"file://{tmp_path}/posters/1%20%23%C3%BC.jpg")
    assert isinstance(second, Event)
    assert second.poster == MediaReference(url="https://example.org/p.jpg")


def test_auto_inlines_up_to_one_mebibyte(tmp_path: Path) -> None:
    """Exactly 1 MiB travels inline, one byte more as a reference, and so does a file that is not there."""
    (tmp_path / "fits.jpg").write_bytes(b"x" * MIB)
    (tmp_path / "large.jpg").write_bytes(b"x" * (MIB + 1))
    forms = {
        name: build_item({"kind": "event", "id": "e", "poster": name}, tmp_path, MediaForm.AUTO)
        for name in ("fits.jpg", "large.jpg", "absent.jpg")
    }
    posters = {name: item.poster for name, item in forms.items() if isinstance(item, Event)}
    assert isinstance(posters["fits.jpg"], InlineMedia)
    assert posters["fits.jpg"].data == b"x" * MIB
    assert posters["large.jpg"] == MediaReference(url=(tmp_path / "large.jpg").as_uri())
    assert posters["absent.jpg"] == MediaReference(url=(tmp_path / "absent.jpg").as_uri())


def test_two_files_share_the_inline_room(tmp_path: Path) -> None:
    """Of two files of 0.75 MiB only one travels inline: the message would be larger than workers accept."""
    (tmp_path / "cover.png").write_bytes(b"x" * (3 * MIB // 4))
    (tmp_path / "audio.mp3").write_bytes(b"x" * (3 * MIB // 4))
    track = build_item(
        {"kind": "track", "id": "t", "cover": "cover.png", "audio": "audio.mp3"}, tmp_path, MediaForm.AUTO
    )
    assert isinstance(track, Track)
    assert {type(track.cover), type(track.audio)} == {InlineMedia, MediaReference}


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot read .*: No such file or directory"), (b"", "is empty"), (b"x" * (MIB + 1), "is larger")],
)
def test_inline_does_not_fall_back(tmp_path: Path, content: bytes | None, message: str) -> None:
    """Who asks for inline bytes is told what cannot travel so."""
    if content is not None:
        (tmp_path / "p.jpg").write_bytes(content)
    with pytest.raises(ItemError, match=rf"^poster: .*{message}"):
        build_item({"kind": "event", "id": "e", "poster": "p.jpg"}, tmp_path, MediaForm.INLINE)


def test_a_path_that_fits_no_reference_is_one_line(tmp_path: Path) -> None:
    """A path longer than the schema's 4,096 characters is the item's fault, told by its field."""
    with pytest.raises(ItemError, match=r"^poster: url: String should have at most 4096 characters$"):
        build_item({"kind": "event", "id": "e", "poster": "a" * 5000}, tmp_path, MediaForm.AUTO)


def test_lines_are_counted_for_progress(tmp_path: Path) -> None:
    """Three line ends are three lines."""
    assert count_lines(write(tmp_path, "a", "", "b")) == 3
