"""Recordings to log-mel patches."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from genrestream.schemas.features import AudioFeatures
from genrestream.workers.features.audio import audio_tensor, patch_starts
from genrestream.workers.features.content import FeatureLimits
from genrestream.workers.features.errors import MediaError, MediaTooLarge, UnreadableMedia

SPEC = AudioFeatures()
SMALL = AudioFeatures(sample_rate_hz=8_000, mel_bands=16, patch_frames=32, patches=2)
LIMITS = FeatureLimits()
SaveWave = Callable[..., bytes]


def tone(frequency_hz: float, seconds: float, rate_hz: int = 16_000) -> NDArray[np.float32]:
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * frequency_hz * times)).astype(np.float32)


def loudest_band(patch: NDArray[np.float32]) -> int:
    return int(patch.mean(axis=0).argmax())


def test_patches_are_spread_from_start_to_end() -> None:
    """Three patches of 187 in 1,251 frames start at 0, in the middle of the room of 1,064, and at its end."""
    assert patch_starts(1251, 187, 3) == [0, 532, 1064]
    assert patch_starts(1251, 187, 1) == [532]
    assert patch_starts(187, 187, 3) == [0, 0, 0]


def test_shape_and_range(save_wave: SaveWave) -> None:
    """20 s give 3 patches of 187 frames and 96 bands, float32, finite, 0 or more."""
    patches = audio_tensor(save_wave(tone(440, 20), 16_000), SPEC, LIMITS)
    assert (patches.shape, patches.dtype) == ((3, 187, 96), "float32")
    assert np.isfinite(patches).all()
    assert patches.min() >= 0


def test_only_the_middle_counts(save_wave: SaveWave) -> None:
    """Of 60 s only the middle 20 are heard: a loud tone before and after them leaves no trace."""
    middle = tone(400, 20)
    around = np.concatenate([tone(4000, 19.9), tone(400, 20.2), tone(4000, 19.9)])
    np.testing.assert_allclose(
        audio_tensor(save_wave(around, 16_000), SPEC, LIMITS)[:, 2:-2],
        audio_tensor(save_wave(middle, 16_000), SPEC, LIMITS)[:, 2:-2],
        atol=2e-2,
    )


def test_patches_follow_the_recording(save_wave: SaveWave) -> None:
    """Low, middle and high tones one after another are heard in the first, second and third patch."""
    samples = np.concatenate([tone(frequency, 20 / 3) for frequency in (300, 1200, 4800)])
    patches = audio_tensor(save_wave(samples, 16_000), SPEC, LIMITS)
    # 96 bands from 0 to 8 kHz, mel 45.245, have their centres at (index + 1) x 0.46645 mel; 300 Hz is
    # mel 4.5, 1.2 kHz 17.652, 4.8 kHz 37.815.
    assert [loudest_band(patch) for patch in patches] == pytest.approx([8.6, 36.8, 80.2], abs=1)


def test_stereo_is_the_mean(save_wave: SaveWave) -> None:
    """Left and right in opposite phase cancel out; one silent channel halves the sound."""
    left = tone(440, 4)
    mono = audio_tensor(save_wave(left * 0.5, 16_000), SPEC, LIMITS)
    opposite = audio_tensor(save_wave(np.stack([left, -left], axis=1), 16_000), SPEC, LIMITS)
    one_sided = audio_tensor(save_wave(np.stack([left, left * 0], axis=1), 16_000), SPEC, LIMITS)
    assert opposite.max() < 0.01
    np.testing.assert_allclose(one_sided, mono, atol=1e-2)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000])
def test_any_rate_gives_the_same_sound(save_wave: SaveWave, rate_hz: int) -> None:
    """A tone of 1 kHz is in the same band and as loud at every sample rate."""
    reference = audio_tensor(save_wave(tone(1000, 20), 16_000), SPEC, LIMITS)
    patches = audio_tensor(save_wave(tone(1000, 20, rate_hz), rate_hz), SPEC, LIMITS)
    band = loudest_band(reference[1])
    np.testing.assert_allclose(patches[1, :, band], reference[1, :, band], atol=0.02)


def test_a_short_recording_is_repeated(save_wave: SaveWave) -> None:
    """One second has 1 + 16000 // 256 = 63 frames: they fill a patch of 187 by repetition, in each patch."""
    patches = audio_tensor(save_wave(tone(440, 1), 16_000), SPEC, LIMITS)
    assert patches.shape == (3, 187, 96)
    np.testing.assert_array_equal(patches[0, 63:126], patches[0, :63])
    np.testing.assert_array_equal(patches[0], patches[2])


@pytest.mark.parametrize("samples", [1, 2, 100, 257, 4096])
def test_a_blink_of_sound_is_a_recording(save_wave: SaveWave, samples: int) -> None:
    """Even one sample gives finite patches of the full shape."""
    patches = audio_tensor(save_wave(np.full(samples, 0.5, np.float32), 16_000), SPEC, LIMITS)
    assert patches.shape == (3, 187, 96)
    assert np.isfinite(patches).all()


def test_silence_is_zero(save_wave: SaveWave) -> None:
    """log10(10000 x 0 + 1) is 0: silence is sound and not missing."""
    assert not audio_tensor(save_wave(np.zeros(32_000, np.float32), 16_000), SPEC, LIMITS).any()


def test_what_is_no_recording_is_unreadable(save_wave: SaveWave) -> None:
    """Pictures, pages, playlists that point elsewhere, empty and headless files."""
    picture = Image.new("RGB", (64, 64), "red")
    buffer = __import__("io").BytesIO()
    picture.save(buffer, "JPEG")
    for data in (
        b"",
        b"\x00" * 5000,
        b"<!DOCTYPE html><html></html>" * 50,
        buffer.getvalue(),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        save_wave(tone(440, 1), 16_000)[:40],
        save_wave(np.zeros(0, np.float32), 16_000),
    ):
        with pytest.raises(UnreadableMedia):
            audio_tensor(data, SPEC, LIMITS)


def test_a_truncated_recording_is_unreadable(save_wave: SaveWave) -> None:
    """The header states 640,000 bytes of samples, a quarter of them is not there."""
    data = save_wave(tone(440, 20), 16_000)
    with pytest.raises(UnreadableMedia, match="the recording is cut off: 160,000 bytes are missing"):
        audio_tensor(data[:-160_000], SPEC, LIMITS)


def test_a_stream_of_unknown_size_is_no_truncated_one(save_wave: SaveWave) -> None:
    """A writer to a pipe cannot know the size and states 0xFFFFFFFF."""
    data = bytearray(save_wave(tone(440, 4), 16_000))
    data[4:8] = data[40:44] = b"\xff" * 4
    assert audio_tensor(bytes(data), SPEC, LIMITS).any()


def test_length_and_channels_are_limited(save_wave: SaveWave) -> None:
    """Each limit refuses what is one over it."""
    data = save_wave(np.stack([tone(440, 3)] * 3, axis=1), 16_000)
    with pytest.raises(MediaTooLarge, match=r"the recording has 3 s, allowed are 2"):
        audio_tensor(data, SPEC, FeatureLimits(max_audio_s=2))
    with pytest.raises(MediaTooLarge, match="the recording has 3 channels, allowed are 2"):
        audio_tensor(data, SPEC, FeatureLimits(max_channels=2))
    with pytest.raises(MediaTooLarge, match="the file holds 1 streams, allowed are 0"):
        audio_tensor(data, SPEC, FeatureLimits(max_streams=0))
    assert audio_tensor(data, SPEC, FeatureLimits(max_audio_s=3, max_channels=3, max_streams=1)).any()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_give_patches_or_a_media_error(data: bytes) -> None:
    """Nothing but a MediaError ever leaves the decoder."""
    for prefix in (b"", b"ID3", b"RIFF\xff\xff\xff\xffWAVEfmt ", b"OggS", b"fLaC", b"\xff\xfb\x90\x64"):
        try:
            patches = audio_tensor(prefix + data, SMALL, LIMITS)
        except MediaError:
            continue
        assert patches.shape == (2, 32, 16)
        assert np.isfinite(patches).all()
