"""Small valid files of every format that the decoders read, and some broken by design, made here."""

import struct
import zlib
from functools import lru_cache
from io import BytesIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from PIL import Image

RECORDINGS = {
    "mp3": ("mp3", "libmp3lame"), "wav": ("wav", "pcm_s16le"), "flac": ("flac", "flac"),
    "ogg": ("ogg", "libopus"), "m4a": ("ipod", "aac"), "webm": ("webm", "libopus"),
    "aiff": ("aiff", "pcm_s16be"), "mpegts": ("mpegts", "aac"), "wv": ("wv", "wavpack"),
    "caf": ("caf", "alac"),
}  # fmt: skip
RATE_HZ = 48_000


@lru_cache(maxsize=1)
def pictures() -> dict[str, bytes]:
    """JPEG (both kinds, with EXIF), PNG (three modes), WebP (both kinds), GIF, BMP, AVIF; an animation."""
    rows, columns = np.mgrid[0:30, 0:40]
    picture = Image.fromarray(np.stack([rows * 8, columns * 6, rows + columns], axis=2).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    transparent = picture.convert("RGBA")
    transparent.putalpha(128)
    red = Image.new("RGB", picture.size, "red")
    forms = {
        "jpeg": (picture, "JPEG", {"exif": exif}),
        "progressive": (picture, "JPEG", {"progressive": True}),
        "cmyk": (picture.convert("CMYK"), "JPEG", {}),
        "png": (picture, "PNG", {"exif": exif}),
        "transparent": (transparent, "PNG", {}),
        "palette": (picture.quantize(16), "PNG", {"transparency": 3}),
        "grey16": (Image.fromarray(rows.astype(np.uint16) * 999), "PNG", {}),
        "webp": (transparent, "WEBP", {"exif": exif}),
        "lossless": (picture, "WEBP", {"lossless": True}),
        "gif": (picture, "GIF", {"save_all": True, "append_images": [red]}),
        "animation": (picture, "WEBP", {"save_all": True, "append_images": [red]}),
        "bmp": (picture, "BMP", {}),
        "avif": (picture, "AVIF", {"speed": 10}),
    }
    made = {}
    for name, (image, format_name, options) in forms.items():
        buffer = BytesIO()
        image.save(buffer, format_name, **options)
        made[name] = buffer.getvalue()
    return made


@lru_cache(maxsize=1)
def broken_pictures() -> dict[str, bytes]:
    """PNG files that take a decoder past its own checks: no palette, rows cut off between two passes."""
    return {
        "no palette": _png(bit_depth=8, colour_type=3, interlace=0, rows=bytes(20)),
        "cut passes": _png(bit_depth=16, colour_type=0, interlace=1, rows=bytes(36)),
        "no such passes": _png(bit_depth=16, colour_type=0, interlace=7, rows=bytes(36)),
    }


def _png(*, bit_depth: int, colour_type: int, interlace: int, rows: bytes) -> bytes:
    """4 x 4 pixels."""
    header = struct.pack(">IIBBBBB", 4, 4, bit_depth, colour_type, 0, 0, interlace)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


@lru_cache(maxsize=1)
def recordings() -> dict[str, bytes]:
    """A quarter second of a tone in each container."""
    return {name: _recording(*form) for name, form in RECORDINGS.items()}


def _recording(container: str, codec: str) -> bytes:
    buffer = BytesIO()
    samples = np.sin(np.arange(RATE_HZ // 4) / 17).astype(np.float32)[None]
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=RATE_HZ, layout="mono")
        stream.codec_context.open()
        frame = AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = RATE_HZ
        frame_size = stream.codec_context.frame_size or 1_024
        resampler = av.AudioResampler(stream.format, "mono", RATE_HZ, frame_size)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return buffer.getvalue()
