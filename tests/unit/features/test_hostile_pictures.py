"""Pictures made to cost more than they show, or to be taken for what they are not."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from genrestream.schemas.features import ImageFeatures
from genrestream.workers.features.content import FeatureLimits
from genrestream.workers.features.errors import MediaError, MediaTooLarge, UnreadableMedia
from genrestream.workers.features.headers import jpeg_scans
from genrestream.workers.features.image import image_tensor

SPEC = ImageFeatures(height_px=24, width_px=32)
LIMITS = FeatureLimits()
SaveImage = Callable[..., bytes]
RED = Image.new("RGB", (64, 48), (220, 20, 20))
PNG_HEADER_BYTES = 33
"""Signature and IHDR."""


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_with(save_image: SaveImage, kind: bytes, data: bytes) -> bytes:
    """A red PNG with one more chunk behind its header."""
    png = save_image(RED, "PNG")
    return png[:PNG_HEADER_BYTES] + png_chunk(kind, data) + png[PNG_HEADER_BYTES:]


def with_scans(jpeg: bytes, count: int) -> bytes:
    """A progressive JPEG whose last scan is repeated until there are so many."""
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:-2] + jpeg[last:-2] * (count - jpeg_scans(jpeg, 1_000)) + jpeg[-2:]


def assert_red(data: bytes) -> None:
    tensor = image_tensor(data, SPEC, LIMITS)
    assert (tensor.shape, tensor.dtype) == ((24, 32, 3), "uint8")
    np.testing.assert_allclose(tensor.mean(axis=(0, 1)), (220, 20, 20), atol=4)


def test_a_picture_at_the_pixel_limit_is_read(save_image: SaveImage) -> None:
    """8,000 x 6,250 are 50 million pixels; one column more is refused by the header."""
    red = Image.new("RGB", (8_000, 6_250), (220, 20, 20))
    assert_red(save_image(red, "PNG", compress_level=1))
    wider = Image.new("1", (8_001, 6_250))
    with pytest.raises(MediaTooLarge, match=r"the picture has 8001 x 6250 pixels, allowed are 50,000,000"):
        image_tensor(save_image(wider, "PNG"), SPEC, LIMITS)


def test_a_side_is_limited(save_image: SaveImage) -> None:
    """A line of 65,535 pixels is read; one more is refused, however few pixels there are in all."""
    assert_red(save_image(Image.new("RGB", (65_535, 1), (220, 20, 20)), "PNG"))
    with pytest.raises(MediaTooLarge, match="the picture has a side of 65536 pixels, allowed are 65535"):
        image_tensor(save_image(Image.new("1", (65_536, 1)), "PNG"), SPEC, LIMITS)


def test_the_scans_of_a_jpeg_are_limited(save_image: SaveImage) -> None:
    """100 passes over a progressive picture are read, 101 refused: one each takes 75 bytes and much time."""
    jpeg = save_image(RED, "JPEG", progressive=True)
    assert_red(with_scans(jpeg, 100))
    with pytest.raises(MediaTooLarge, match="the picture has more than 100 scans"):
        image_tensor(with_scans(jpeg, 101), SPEC, LIMITS)
    # The same where Pillow decodes, for the sake of stray bytes or of print colours.
    for bomb in (
        with_scans(save_image(RED.convert("CMYK"), "JPEG", progressive=True), 101),
        with_scans(jpeg, 101)[:-2],
    ):
        with pytest.raises(MediaTooLarge, match="more than 100 scans"):
            image_tensor(bomb, SPEC, LIMITS)


def test_no_scan_hides_behind_a_reserved_marker(save_image: SaveImage) -> None:
    """Where a restart is due, libjpeg reads over `FF 02` to the next marker: what follows is no length."""
    jpeg = save_image(RED, "JPEG", progressive=True)
    first, last = jpeg.index(b"\xff\xda"), jpeg.rindex(b"\xff\xda")
    restart_each_unit = b"\xff\xdd\0\x04\0\x01"
    # Behind the first scan's header and one byte of its data; taken for a length, FF FF hides 65,535 bytes.
    data = first + 2 + int.from_bytes(jpeg[first + 2 : first + 4], "big") + 1
    hidden = jpeg[2:data] + b"\xff\x02\xff" + jpeg[last:-2] * 101 + jpeg[-2:]
    bomb = jpeg[:2] + restart_each_unit + hidden
    assert jpeg_scans(bomb, 1_000) == 102
    with pytest.raises(MediaTooLarge, match="the picture has more than 100 scans"):
        image_tensor(bomb, SPEC, LIMITS)


def test_only_the_scans_of_the_picture_count(save_image: SaveImage) -> None:
    """A thumbnail's in the metadata do not, nor what looks like one in the film behind a phone's picture."""
    jpeg = save_image(RED, "JPEG", progressive=True)
    metadata = b"Exif\0\0" + b"\xff\xda\0\x08" * 500
    segment = b"\xff\xe1" + struct.pack(">H", len(metadata) + 2) + metadata
    decorated = jpeg[:2] + segment + jpeg[2:] + b"\xff\xda\0\x08" * 500
    assert jpeg_scans(decorated, 1_000) == jpeg_scans(jpeg, 1_000)
    assert_red(decorated)


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt", b"iCCP"])
def test_compressed_metadata_of_a_png_does_not_unpack_to_all_it_wants(
    save_image: SaveImage, kind: bytes
) -> None:
    """60 KB that unpack to 64 MB are refused; the same chunk with a short text is read over."""
    packed = {
        text: {b"zTXt": b"key\0\0", b"iTXt": b"key\0\1\0\0\0", b"iCCP": b"profile\0\0"}[kind]
        + zlib.compress(text)
        for text in (b"short", bytes(64 * 2**20))
    }
    short, bomb = packed.values()
    assert len(bomb) < 70_000
    assert_red(png_with(save_image, kind, short))
    with pytest.raises(UnreadableMedia, match="Decompressed data too large"):
        image_tensor(png_with(save_image, kind, bomb), SPEC, LIMITS)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP"])
def test_large_metadata_are_read_over(save_image: SaveImage, format_name: str) -> None:
    """Colour profiles and XMP of hundreds of kilobytes do not change the picture."""
    options = {"icc_profile": bytes(900_000), "xmp": bytes(60_000)}
    assert_red(save_image(RED, format_name, quality=95, **options))


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP"])
def test_directories_of_exif_that_lie_do_no_harm(save_image: SaveImage, format_name: str) -> None:
    """5,000 entries that all point at the same 60,000 bytes, and a directory that comes after itself."""
    entries = b"".join(struct.pack(">HHII", tag, 7, 60_000, 0) for tag in range(1, 5_001))
    overlapping = b"MM\0*" + struct.pack(">IH", 8, 5_000) + entries + bytes(4)
    itself = b"MM\0*" + struct.pack(">IHI", 8, 0, 8)
    sub_directories = struct.pack(">HHII", 0x8769, 4, 1, 8) + struct.pack(">HHII", 0x8825, 4, 1, 8)
    nested = b"MM\0*" + struct.pack(">IH", 8, 2) + sub_directories + struct.pack(">I", 8)
    for exif in (overlapping, itself, nested):
        assert_red(save_image(RED, format_name, quality=95, exif=b"Exif\0\0" + exif))


@pytest.mark.parametrize("format_name", ["GIF", "WEBP", "PNG"])
def test_of_many_frames_one_is_decoded(
    save_image: SaveImage, format_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An animation of 300 frames is its first, and nothing asks for the second."""
    others = [Image.new("RGB", (64, 48), (0, 255 * (index % 2), 100)) for index in range(299)]
    data = save_image(RED, format_name, save_all=True, append_images=others, duration=10)
    sought: list[int] = []
    with Image.open(BytesIO(data)) as image:
        assert image.n_frames == 300
        plugin = type(image)
    seek = plugin._seek

    def counted(self: Image.Image, frame: int, *rest: object) -> None:
        sought.append(frame)
        seek(self, frame, *rest)

    monkeypatch.setattr(plugin, "_seek", counted)
    assert_red(data)
    assert set(sought) <= {0}
    with Image.open(BytesIO(data)) as image:
        image.seek(1)
        image.load()
    assert 1 in sought


def tiff_in_a_loop() -> bytes:
    """A TIFF file whose directory names itself as the next one."""
    buffer = BytesIO()
    RED.save(buffer, "TIFF")
    data = bytearray(buffer.getvalue())
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * entries, first)
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(tiff_in_a_loop(), id="tiff"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\nshowpage\n%%EOF\n", id="eps"),
        pytest.param(b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF", id="pdf"),
        pytest.param(b"PK\x03\x04" + bytes(100), id="zip"),
        pytest.param(b"8BPS\0\1" + bytes(100), id="psd"),
        pytest.param(b"P6\n64 48\n255\n" + bytes(64 * 48 * 3), id="ppm"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg' width='64' height='48'/>", id="svg"),
        pytest.param(b"\0\0\1\0\1\0" + bytes(100), id="ico"),
        pytest.param(b"\x1f\x8b\x08" + bytes(100), id="gzip"),
    ],
)
def test_no_other_format_is_opened(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """TIFF with its loops, PostScript for Ghostscript, and the rest: no reader of theirs is tried."""
    Image.init()  # every plugin that Pillow has is there, as after somebody else's import
    opened: list[str] = []
    for name, (factory, accept) in list(Image.OPEN.items()):

        def counted(*arguments: object, name: str = name, factory: Callable[..., Image.Image] = factory):
            opened.append(name)
            return factory(*arguments)

        monkeypatch.setitem(Image.OPEN, name, (counted, accept))
    with pytest.raises(UnreadableMedia, match="not a picture of a known format"):
        image_tensor(data, SPEC, LIMITS)
    assert set(opened) <= {"JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"}


def test_the_loop_is_one_that_a_reader_would_see() -> None:
    """The TIFF file above is a picture to a reader of TIFF, which stays out all the same."""
    with Image.open(BytesIO(tiff_in_a_loop())) as image:
        assert isinstance(image, TiffImagePlugin.TiffImageFile)


def test_what_is_two_things_at_once_is_the_picture(save_image: SaveImage) -> None:
    """JPEG and ZIP, GIF and JavaScript, PNG and HTML: the picture's own bytes decide."""
    assert_red(save_image(RED, "JPEG", quality=95) + b"PK\x03\x04" + bytes(60) + b"PK\x05\x06" + bytes(18))
    assert_red(save_image(RED, "GIF") + b"=1;alert(1)//")
    assert_red(png_with(save_image, b"tEXt", b"c\0<html><script>alert(1)</script></html>"))
    polyglot = b"%PDF-1.7\n" + save_image(RED, "JPEG")
    with pytest.raises(UnreadableMedia, match="not a picture of a known format"):
        image_tensor(polyglot, SPEC, LIMITS)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF"])
def test_cut_off_anywhere(save_image: SaveImage, format_name: str) -> None:
    """After each byte of a small file: the picture, or a MediaError; never a picture of another size."""
    data = save_image(RED.resize((12, 9)), format_name)
    for length in range(len(data)):
        try:
            tensor = image_tensor(data[:length], SPEC, LIMITS)
        except MediaError:
            continue
        assert (tensor.shape, tensor.dtype) == ((24, 32, 3), "uint8")
        # Only the mark of the end may lack: a part of the picture is not the picture.
        np.testing.assert_allclose(tensor.mean(axis=(0, 1)), (220, 20, 20), atol=12)
