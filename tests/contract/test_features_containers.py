"""Recordings in every container against decoding all of it, with torchaudio's resampling and mel spectrogram.

Vorbis is not among them: FFmpeg in PyAV's wheels reads it but has no encoder for it that works.
"""

from io import BytesIO

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray
from PIL import Image

from genrestream.schemas.features import AudioFeatures
from genrestream.workers.features.audio import audio_tensor, patch_starts
from genrestream.workers.features.content import FeatureLimits
from genrestream.workers.features.errors import UnreadableMedia

torch = pytest.importorskip("torch")
torchaudio = pytest.importorskip("torchaudio")
pytestmark = pytest.mark.training

SPEC = AudioFeatures()
LIMITS = FeatureLimits()
RATE_HZ = SPEC.sample_rate_hz

# name: (container, codec, sample rate, channels, codec options, container options)
CONTAINERS: dict[str, tuple[str, str, int, int, dict[str, str], dict[str, str]]] = {
    "mp3-cbr": ("mp3", "libmp3lame", 44_100, 2, {"b": "128k"}, {}),
    "mp3-vbr": ("mp3", "libmp3lame", 44_100, 2, {"flags": "+qscale", "global_quality": "472"}, {}),
    "mp3-without-length": ("mp3", "libmp3lame", 44_100, 2, {}, {"write_xing": "0"}),
    "mp3-vbr-without-length": (
        "mp3", "libmp3lame", 44_100, 2, {"flags": "+qscale", "global_quality": "472"}, {"write_xing": "0"},
    ),
    "mp3-mono-16k": ("mp3", "libmp3lame", 16_000, 1, {}, {}),
    "ogg-opus": ("ogg", "libopus", 48_000, 2, {}, {}),
    "flac": ("flac", "flac", 44_100, 2, {}, {}),
    "wav-16": ("wav", "pcm_s16le", 44_100, 2, {}, {}),
    "wav-8": ("wav", "pcm_u8", 22_050, 1, {}, {}),
    "wav-float": ("wav", "pcm_f32le", 48_000, 2, {}, {}),
    "wav-double": ("wav", "pcm_f64le", 48_000, 2, {}, {}),
    "m4a-aac": ("ipod", "aac", 44_100, 2, {}, {}),
    "m4a-alac": ("ipod", "alac", 44_100, 2, {}, {}),
    "aac": ("adts", "aac", 44_100, 2, {}, {}),
    "webm": ("webm", "libopus", 48_000, 2, {}, {}),
    "webm-live": ("webm", "libopus", 48_000, 2, {}, {"live": "1"}),
    "aiff": ("aiff", "pcm_s16be", 44_100, 2, {}, {}),
    "ac3": ("ac3", "ac3", 48_000, 2, {}, {}),
    "mpegts": ("mpegts", "aac", 44_100, 2, {}, {}),
}  # fmt: skip


def music(seconds: float, rate_hz: int) -> NDArray[np.float32]:
    """A rising tone over a chord that changes every second, so that every place sounds different."""
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    chord = 110 * 2 ** ((np.floor(times) * 7 % 24) / 12)
    phase = 2 * np.pi * np.cumsum(chord) / rate_hz
    rising = 2 * np.pi * (300 * times + 30 * times**2)
    samples = (
        0.25 * np.sin(rising) + 0.15 * np.sin(phase) + 0.15 * np.sin(2 * phase) + 0.1 * np.sin(5 * phase)
    )
    return samples.astype(np.float32)


def encoded(name: str, seconds: float, *, cover: bool = False) -> bytes:
    """Music in a container, both channels of stereo alike but for their loudness."""
    container_name, codec, rate_hz, channels, options, container_options = CONTAINERS[name]
    buffer = BytesIO()
    with av.open(buffer, "w", format=container_name, options=container_options) as container:
        layout = "stereo" if channels == 2 else "mono"
        stream = container.add_stream(codec, rate=rate_hz, layout=layout, options=options)
        picture = None
        if cover:
            jpeg = BytesIO()
            Image.effect_noise((600, 600), 60).convert("RGB").save(jpeg, "JPEG")
            picture = container.add_stream("mjpeg", rate=1)
            picture.width = picture.height = 600
            picture.pix_fmt = "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
        samples = music(seconds, rate_hz)
        planes = np.stack([samples * gain for gain in (1.0, 0.5)[:channels]])
        frame = AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
        frame.sample_rate = rate_hz
        stream.codec_context.open()
        resampler = AudioResampler(stream.format, layout, rate_hz, stream.codec_context.frame_size or 4096)
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(piece))
        container.mux(stream.encode(None))
        if picture is not None:
            attached = av.Packet(jpeg.getvalue())
            attached.stream = picture
            attached.pts = attached.dts = 0
            container.mux(attached)
    return buffer.getvalue()


def decoded(data: bytes) -> NDArray[np.float32]:
    """All of a recording as mono at 16 kHz: the mean of the channels, torchaudio's resampling."""
    with av.open(BytesIO(data)) as container:
        to_float = AudioResampler(format="fltp")
        frames = [piece for frame in container.decode(audio=0) for piece in to_float.resample(frame)]
    mono = np.concatenate([frame.to_ndarray().mean(axis=0) for frame in frames])
    waveform = torch.from_numpy(np.asarray(mono, np.float32))
    return np.asarray(torchaudio.functional.resample(waveform, frames[0].sample_rate, RATE_HZ).numpy())


def reference(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The patches by torchaudio, float32 [p, f, m], of the whole recording at 16 kHz."""
    transform = torchaudio.transforms.MelSpectrogram(
        sample_rate=RATE_HZ, n_fft=512, hop_length=256, n_mels=96, norm="slaney", mel_scale="slaney",
        center=False,
    )  # fmt: skip
    middle = min(len(samples), 20 * RATE_HZ)
    start = (len(samples) - middle) // 2
    centred = np.pad(samples, 256, mode="reflect")
    log_mel = np.log10(10_000 * transform(torch.from_numpy(centred[start:])).numpy().T + 1)
    return np.stack([log_mel[first : first + 187] for first in patch_starts(1 + middle // 256, 187, 3)])


def deviation(patches: NDArray[np.float32], expected: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean absolute difference of each patch, float32 [p]; the patches themselves range from 0 to 4."""
    return np.asarray(np.abs(patches - expected).mean(axis=(1, 2)))


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_container_sounds_as_if_decoded_whole(name: str) -> None:
    """Of 45 s, the three parts that are decoded give what decoding all of it gives.

    Within 0.04 on the average, most within 0.001: the resamplers' filters differ towards 8 kHz, and some
    containers state their length to a hundredth of a second only. A second off, the same patches differ by
    0.8.
    """
    data = encoded(name, 45)
    samples = decoded(data)
    patches = audio_tensor(data, SPEC, LIMITS)
    assert deviation(patches, reference(samples)).max() <= 0.04
    assert deviation(patches, reference(samples[2 * RATE_HZ :])).min() >= 0.6


@pytest.mark.parametrize("name", ["mp3-cbr", "ogg-opus", "m4a-aac", "wav-16", "flac"])
@pytest.mark.parametrize("seconds", [3.5, 12, 20])
def test_short_recordings_are_heard_from_start_to_end(name: str, seconds: float) -> None:
    """Nothing is cut from a recording shorter than the middle, and its patches may overlap.

    Opus states 13 ms more than there are, by which its last patch comes late: 0.05.
    """
    data = encoded(name, seconds)
    assert deviation(audio_tensor(data, SPEC, LIMITS), reference(decoded(data))).max() <= 0.06


@pytest.mark.parametrize("name", ["mp3-cbr", "flac"])
def test_cover_art_is_not_sound(name: str) -> None:
    """An embedded picture changes nothing."""
    with_cover = encoded(name, 10, cover=True)
    with av.open(BytesIO(with_cover)) as container:
        assert len(container.streams.video) == 1
    np.testing.assert_array_equal(
        audio_tensor(with_cover, SPEC, LIMITS), audio_tensor(encoded(name, 10), SPEC, LIMITS)
    )


@pytest.mark.parametrize("name", ["mp3-cbr", "flac", "m4a-alac", "wav-16", "aiff"])
def test_a_truncated_recording_is_unreadable(name: str) -> None:
    """Where a header states 20 s and the last third is not there, there is no such recording."""
    data = encoded(name, 20)
    with pytest.raises(UnreadableMedia):
        audio_tensor(data[: int(len(data) * 0.65)], SPEC, LIMITS)


def test_a_film_is_heard_without_being_seen() -> None:
    """Of a container with video only the sound is read."""
    buffer = BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=5)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=RATE_HZ, layout="mono")
        sound.codec_context.open()
        frame = AudioFrame.from_ndarray(music(30, RATE_HZ)[None], format="fltp", layout="mono")
        frame.sample_rate = RATE_HZ
        resampler = AudioResampler(sound.format, "mono", RATE_HZ, sound.codec_context.frame_size)
        for index in range(150):
            picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), index, np.uint8), format="rgb24")
            container.mux(video.encode(picture))
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(sound.encode(piece))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    data = buffer.getvalue()
    assert deviation(audio_tensor(data, SPEC, LIMITS), reference(decoded(data))).max() <= 0.04


def test_a_silent_film_is_unreadable() -> None:
    """Video without sound is no recording."""
    buffer = BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        video = container.add_stream("mpeg4", rate=5)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        container.mux(video.encode(None))
    with pytest.raises(UnreadableMedia, match="holds no sound that FFmpeg decodes"):
        audio_tensor(buffer.getvalue(), SPEC, LIMITS)
