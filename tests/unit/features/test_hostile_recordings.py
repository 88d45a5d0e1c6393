"""Recordings that claim what they are not, or that name what is not theirs to name."""

import socket
import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

from genrestream.schemas.features import AudioFeatures
from genrestream.workers.features.audio import audio_tensor
from genrestream.workers.features.content import FeatureLimits
from genrestream.workers.features.errors import MediaError, MediaTooLarge, UnreadableMedia
from genrestream.workers.features.recording import _OPEN_OPTIONS

SPEC = AudioFeatures(sample_rate_hz=8_000, mel_bands=16, patch_frames=32, patches=2)
LIMITS = FeatureLimits()
SaveWave = Callable[..., bytes]


def tone(seconds: float, rate_hz: int = 16_000) -> NDArray[np.float32]:
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)


def encoded(container: str, codec: str, seconds: float = 1.0, rate_hz: int = 16_000) -> bytes:
    """A tone in a container."""
    buffer = BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout="mono", bit_rate=64_000)
        resampler = av.AudioResampler(stream.format, "mono", rate_hz, stream.codec_context.frame_size or 1024)
        frame = AudioFrame.from_ndarray(tone(seconds, rate_hz)[None], format="fltp", layout="mono")
        frame.sample_rate = rate_hz
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(piece))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def wave_header(channels: int = 1, rate_hz: int = 16_000, bits: int = 16, data_bytes: int = 64_000) -> bytes:
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", 1, channels, rate_hz, (rate_hz * block) % 2**32, block % 2**16, bits)
    size = (36 + data_bytes) % 2**32
    return (
        b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<I", 16) + form
        + b"data" + struct.pack("<I", data_bytes)
    )  # fmt: skip


def outcome(data: bytes) -> str:
    """ "patches" of the right shape, or the name of the MediaError."""
    try:
        patches = audio_tensor(data, SPEC, LIMITS)
    except MediaError as error:
        return type(error).__name__
    assert (patches.shape, patches.dtype) == ((2, 32, 16), "float32")
    assert np.isfinite(patches).all()
    return "patches"


def test_the_list_of_containers_lets_the_common_ones_in() -> None:
    """What the tests below show shut out is not shut out with everything else."""
    for container, codec in (
        ("mp3", "libmp3lame"), ("wav", "pcm_s16le"), ("flac", "flac"), ("ipod", "aac"), ("ogg", "libopus"),
        ("adts", "aac"), ("aiff", "pcm_s16be"), ("caf", "pcm_s16le"), ("w64", "pcm_s16le"),
        ("matroska", "libmp3lame"), ("asf", "wmav2"), ("avi", "pcm_s16le"), ("mpegts", "mp2"),
        ("wav", "pcm_mulaw"), ("mov", "alac"), ("wv", "wavpack"), ("mp2", "mp2"),
    ):  # fmt: skip
        rate_hz = 48_000 if codec in {"libopus", "wmav2"} else 16_000
        assert outcome(encoded(container, codec, rate_hz=rate_hz)) == "patches", (container, codec)


@pytest.mark.parametrize(
    ("container", "codec"),
    [("au", "pcm_s16be"), ("tta", "tta"), ("nut", "pcm_s16le"), ("voc", "pcm_u8"), ("flv", "libmp3lame")],
)
def test_other_containers_are_not_opened(container: str, codec: str) -> None:
    """FFmpeg could read them; too few publish in them for what their readers may hold."""
    rate_hz = 44_100
    data = encoded(container, codec, rate_hz=rate_hz)
    with av.open(BytesIO(data)) as opened:
        assert opened.streams.audio
    with pytest.raises(UnreadableMedia, match="not a recording that FFmpeg reads"):
        audio_tensor(data, SPEC, LIMITS)


@pytest.mark.parametrize(("container", "codec"), [("wav", "adpcm_yamaha"), ("matroska", "tta")])
def test_other_decoders_are_not_opened(container: str, codec: str) -> None:
    """Neither by FFmpeg, which looks into a stream before it is asked for it, nor for its samples."""
    data = encoded(container, codec)
    with av.open(BytesIO(data)) as opened:
        assert opened.streams.audio[0].codec_context.codec.name == codec
    with pytest.raises(UnreadableMedia, match=f"sound as {codec} is not read"):
        audio_tensor(data, SPEC, LIMITS)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A port of this machine that somebody may connect to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def was_asked(server: socket.socket) -> bool:
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def playlists(target: str) -> dict[str, bytes]:
    """Files that name another one, as FFmpeg's readers know them."""
    hls = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{target}\n#EXT-X-ENDLIST\n"
    dash = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT1S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period>'
        '<AdaptationSet mimeType="audio/wav"><Representation id="1" bandwidth="1"><BaseURL>'
        f"{target}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    smooth = f'<?xml version="1.0"?><smil><body><audio src="{target}"/></body></smil>'
    return {
        "hls": hls.encode(),
        "concat": f"ffconcat version 1.0\nfile '{target}'\n".encode(),
        "dash": dash.encode(),
        "smil": smooth.encode(),
        "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
        "m3u": f"{target}\n".encode(),
        "ffmetadata": f";FFMETADATA1\ntitle={target}\n".encode(),
        "hls in ID3": b"ID3\x04\0\0\0\0\0\0" + hls.encode(),
        "mislabelled hls": hls.encode() + b"\xff\xfb\x90\x64" + bytes(5_000),
    }


@pytest.mark.parametrize("form", playlists(""))
def test_no_playlist_opens_an_address(form: str, listener: socket.socket) -> None:
    """Whatever it is called, a playlist with an address is no recording, and nobody connects."""
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/sound.ts"
    with pytest.raises(UnreadableMedia):
        audio_tensor(playlists(url)[form], SPEC, LIMITS)
    assert not was_asked(listener)


@pytest.mark.parametrize("form", playlists(""))
def test_no_playlist_opens_a_file(form: str, tmp_path: Path) -> None:
    """A playlist that names a recording on this machine gives none of its sound."""
    (tmp_path / "sound.mp3").write_bytes(encoded("mp3", "libmp3lame"))
    for target in (f"file://{tmp_path}/sound.mp3", f"{tmp_path}/sound.mp3", "file:///etc/passwd"):
        with pytest.raises(UnreadableMedia):
            audio_tensor(playlists(target)[form], SPEC, LIMITS)


def test_ffmpeg_left_alone_would_connect(listener: socket.socket) -> None:
    """The claims above can fail: with its own defaults FFmpeg asks the address in the same playlist."""
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/sound.ts"
    for form, options in (("hls", {}), ("concat", {"safe": "0"})):
        with pytest.raises(av.FFmpegError):
            av.open(
                BytesIO(playlists(url)[form]),
                format=form,
                options={**options, "protocol_whitelist": "http,tcp"},
                timeout=1.0,
            )
        assert was_asked(listener)


@pytest.mark.parametrize("form", ["hls", "concat"])
@pytest.mark.parametrize("kept", [{"format_whitelist"}, {"protocol_whitelist"}])
def test_either_list_alone_keeps_ffmpeg_from_connecting(
    form: str, kept: set[str], listener: socket.socket
) -> None:
    """Even told that it is a playlist: the reader is not on one list, no protocol at all on the other."""
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/sound.ts"
    options = {name: value for name, value in _OPEN_OPTIONS.items() if name in kept}
    assert options
    with pytest.raises((av.FFmpegError, ValueError)):
        av.open(BytesIO(playlists(url)[form]), format=form, options={**options, "safe": "0"}, timeout=1.0)
    assert not was_asked(listener)


def test_the_film_beside_the_sound_reaches_no_decoder() -> None:
    """FFmpeg opens decoders to look into streams: that of the video is refused, the sound is heard."""
    buffer = BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        video = output.add_stream("mpeg4", rate=5)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        sound = output.add_stream("aac", rate=16_000, layout="mono")
        resampler = av.AudioResampler("fltp", "mono", 16_000, 1_024)
        frame = AudioFrame.from_ndarray(tone(2)[None], format="fltp", layout="mono")
        frame.sample_rate = 16_000
        for _ in range(10):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            output.mux(video.encode(picture))
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(sound.encode(piece))
        output.mux(video.encode(None))
        output.mux(sound.encode(None))
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as messages:
            assert outcome(buffer.getvalue()) == "patches"
    finally:
        av.logging.set_level(None)
    assert any("Codec (mpeg4) not on whitelist" in text for _, _, text in messages)


def test_ffmpeg_left_alone_would_read(tmp_path: Path) -> None:
    """The same for a file: with its own defaults FFmpeg plays what the list names."""
    (tmp_path / "sound.mp3").write_bytes(encoded("mp3", "libmp3lame"))
    playlist = playlists(f"{tmp_path}/sound.mp3")["concat"]
    with av.open(
        BytesIO(playlist), format="concat", options={"safe": "0", "protocol_whitelist": "file"}
    ) as opened:
        assert next(opened.decode(audio=0)).samples


@pytest.mark.parametrize(
    ("channels", "rate_hz", "bits", "expected"),
    [
        (1, 16_000, 16, "patches"),
        (17, 16_000, 16, "MediaTooLarge"),
        (65_535, 16_000, 16, "UnreadableMedia"),
        (0, 16_000, 16, "UnreadableMedia"),
        (1, 2**32 - 1, 16, "UnreadableMedia"),
        (1, 768_001, 16, "MediaTooLarge"),
        (1, 1_999, 16, "UnreadableMedia"),
        (1, 0, 16, "UnreadableMedia"),
        (1, 16_000, 65_535, "UnreadableMedia"),
    ],
)
def test_the_header_of_a_wave_file_claims(channels: int, rate_hz: int, bits: int, expected: str) -> None:
    """Channels, rates and widths beyond the limits give an error, and no memory is set aside for them."""
    samples = np.random.default_rng(5).integers(-9_000, 9_000, 200_000, np.int16).tobytes()
    data = wave_header(channels, rate_hz, bits, len(samples)) + samples
    assert outcome(data) == expected


def test_years_of_sound_are_too_long() -> None:
    """2^36 samples at 16 kHz are 50 days, says the header of a FLAC file."""
    with pytest.raises(MediaTooLarge, match=r"the recording has [\d,]+ s, allowed are 21,600"):
        audio_tensor(states_samples(encoded("flac", "flac"), 2**36 - 1), SPEC, LIMITS)


def states_samples(flac: bytes, samples: int) -> bytes:
    """A FLAC file whose STREAMINFO states so many samples, 36 bits of it."""
    data = bytearray(flac)
    start = 4 + 4 + 13
    data[start] = (data[start] & 0xF0) | (samples >> 32)
    data[start + 1 : start + 5] = (samples & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(data)


def test_a_recording_shorter_than_stated_is_unreadable() -> None:
    """One second of sound and a header that says ten minutes: the middle is not there."""
    with pytest.raises(UnreadableMedia, match="the recording is cut off or damaged"):
        audio_tensor(states_samples(encoded("flac", "flac"), 600 * 16_000), SPEC, LIMITS)


def id3_tag(data: bytes, size: int | None = None) -> bytes:
    """An ID3v2.4 tag; its size may be another than there is."""
    size = len(data) if size is None else size
    return b"ID3\x04\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0)) + data


def test_a_giant_tag_is_skipped() -> None:
    """8 MB of padding, comments or cover art before the sound change nothing."""
    sound = encoded("mp3", "libmp3lame", 3)
    sound = sound[sound.index(b"\xff\xfb") :] if b"\xff\xfb" in sound else sound[sound.index(b"\xff\xf3") :]
    plain = audio_tensor(sound, SPEC, LIMITS)
    size = 8 * 2**20
    synchsafe = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    for tag in (
        bytes(size),
        b"COMM" + synchsafe + b"\0\0\0eng\0" + b"x" * (size - 5),
        b"APIC" + synchsafe + b"\0\0\0image/png\0\3\0" + bytes(size - 13),
    ):
        np.testing.assert_array_equal(audio_tensor(id3_tag(tag) + sound, SPEC, LIMITS), plain)


def test_a_tag_that_claims_the_whole_file_is_unreadable() -> None:
    """A tag of 256 MB in a file of 20 KB, and ten thousand tags one behind another."""
    sound = encoded("mp3", "libmp3lame", 3)
    assert outcome(id3_tag(b"", 2**28 - 1) + sound) == "UnreadableMedia"
    assert outcome(id3_tag(bytes(10)) * 10_000 + sound) in {"patches", "UnreadableMedia"}


@pytest.mark.parametrize(
    ("container", "codec"),
    [
        ("ipod", "aac"),
        ("mov", "pcm_s16le"),
        ("matroska", "libmp3lame"),
        ("webm", "libopus"),
        ("caf", "pcm_s16le"),
    ],
)
@pytest.mark.parametrize("lie", [0, 2**31 - 1, 2**32 - 1])
def test_sizes_in_containers_that_lie(container: str, codec: str, lie: int) -> None:
    """Each aligned number of the file's first and last KiB, one after another, is put to an extreme."""
    data = encoded(container, codec, 0.2, 48_000)
    places = sorted({*range(0, min(len(data), 1_024), 4), *range(max(0, len(data) - 1_024), len(data), 4)})
    for place in places:
        changed = data[:place] + lie.to_bytes(4, "big") + data[place + 4 :]
        assert outcome(changed) in {"patches", "UnreadableMedia", "MediaTooLarge"}


def ape_header(frames: int, blocks: int, channels: int, rate_hz: int) -> bytes:
    """Monkey's Audio 3.99 (descriptor, header, seek table of the size that it states)."""
    descriptor = struct.pack("<4sHHIIIIIII16s", b"MAC ", 3990, 0, 52, 24, 4 * 100, 0, 10_000, 0, 0, bytes(16))
    header = struct.pack("<HHIIIHHI", 2_000, 0, blocks, blocks, frames, 16, channels, rate_hz)
    return descriptor + header + bytes(4 * 100) + bytes(10_000)


@pytest.mark.parametrize("frames", [0, 1, 101, 2**31, 2**32 - 1])
@pytest.mark.parametrize("blocks", [0, 73_728, 2**32 - 1])
def test_monkeys_audio_that_lies(frames: int, blocks: int) -> None:
    """Frames by the billion in 10 KB."""
    assert outcome(ape_header(frames, blocks, 2, 44_100)) in {"UnreadableMedia", "MediaTooLarge"}


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp3", "libmp3lame"), ("flac", "flac"), ("wav", "pcm_s16le"), ("ipod", "aac"), ("ogg", "libopus")],
)
def test_cut_off_anywhere(container: str, codec: str) -> None:
    """After each byte of the first 1,500 bytes: patches or a MediaError."""
    data = encoded(container, codec, 0.1, 48_000)
    outcomes = {outcome(data[:length]) for length in range(min(len(data), 1_500))}
    assert "UnreadableMedia" in outcomes
    assert outcomes <= {"patches", "UnreadableMedia"}
