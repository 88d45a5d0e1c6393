"""What a file's markers say that the decoders do not pass on: a recording's length, a JPEG's scans."""

import re

_ID3_HEADER_BYTES = 10
# The first MP3 frame is at most 1,441 bytes long; padding may stand before it.
_MP3_HEAD_BYTES = 4_096
_RIFF_HEADER_BYTES = 12
# Writers that do not know the size beforehand put one of these.
_RIFF_SIZE_UNKNOWN = (0, 0x7FFFFFFF, 0xFFFFFFFF)


def mp3_states_length(data: bytes) -> bool:
    """Whether an MP3 file's first frame states its length (Xing, Info or VBRI), or FFmpeg has to guess it."""
    start = 0
    if data.startswith(b"ID3") and len(data) >= _ID3_HEADER_BYTES:
        # ID3v2.4, 3.1: four bytes of 7 bits.
        high, upper, lower, low = data[6:10]
        start = _ID3_HEADER_BYTES + (high << 21 | upper << 14 | lower << 7 | low)
    head = data[start : start + _MP3_HEAD_BYTES]
    return any(mark in head for mark in (b"Xing", b"Info", b"VBRI"))


def wav_missing_bytes(data: bytes) -> int:
    """How many of the bytes that a WAV file's header states are not there; 0 for any other file.

    FFmpeg takes a WAV file that was cut off for a shorter one.
    """
    if not data.startswith(b"RIFF") or data[8:_RIFF_HEADER_BYTES] != b"WAVE":
        return 0
    size = int.from_bytes(data[4:8], "little")
    return 0 if size in _RIFF_SIZE_UNKNOWN else max(0, size + 8 - len(data))


# A JPEG marker (ITU-T T.81, B.1.1.2): within compressed data a zero follows each 0xFF, or it is a restart.
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
_JPEG_SCAN = b"\xda"
_JPEG_END = b"\xd9"
_JPEG_START = b"\xd8"
# Codes below this begin no segment. Where a restart is due, libjpeg reads over them, byte by byte: a length
# read behind one would hide the scans that follow.
_FIRST_SEGMENT = b"\xc0"


def jpeg_scans(data: bytes, enough: int) -> int:
    """How many scans of a JPEG file a decoder would go through, counted up to `enough`.

    Thumbnails in the metadata and whatever stands behind the picture's end do not count.
    """
    scans = 0
    marker = _JPEG_MARKER.search(data)
    while marker and marker[1] != _JPEG_END and scans < enough:
        scans += marker[1] == _JPEG_SCAN
        end = marker.end()
        if marker[1] >= _FIRST_SEGMENT and marker[1] != _JPEG_START:
            end += int.from_bytes(data[end : end + 2], "big")
        marker = _JPEG_MARKER.search(data, end)
    return scans
