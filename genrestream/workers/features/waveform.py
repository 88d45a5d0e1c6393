"""Decoded frames of sound to one mono waveform, and from one sample rate to another.

Legend: n samples.
"""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

# FFmpeg's sample formats, whose planar kinds end in "p", with the level of full scale.
_FORMATS: dict[str, tuple[type[np.number], float]] = {
    "u8": (np.uint8, 2.0**7),
    "s16": (np.int16, 2.0**15),
    "s32": (np.int32, 2.0**31),
    "s64": (np.int64, 2.0**63),
    "flt": (np.float32, 1.0),
    "dbl": (np.float64, 1.0),
}

_MAX_AMPLITUDE = 4.0
"""Floating-point files may hold anything; sound is within -1..1, decoded MP3 peaks go a little over it."""


def mono_waveform(frames: Sequence[AudioFrame]) -> NDArray[np.float32]:
    """The mean of the channels, float32 [n], full scale 1, finite; the number of channels may change."""
    # Alike frames are converted together: one by one, that costs five times what decoding them does.
    groups = groupby(frames, key=lambda frame: (frame.format.name, frame.layout.nb_channels))
    return np.concatenate([_mean(list(alike), name, channels) for (name, channels), alike in groups])


def _mean(frames: list[AudioFrame], format_name: str, channels: int) -> NDArray[np.float32]:
    dtype, full_scale = _FORMATS[format_name.removesuffix("p")]
    if format_name.endswith("p"):
        planes = [
            np.concatenate([_plane(frame, channel, dtype, frame.samples) for frame in frames])
            for channel in range(channels)
        ]
    else:
        packed = [_plane(frame, 0, dtype, frame.samples * channels) for frame in frames]
        planes = list(np.concatenate(packed).reshape(-1, channels).T)
    with np.errstate(over="ignore", invalid="ignore"):
        mono = planes[0].astype(np.float32)
        for plane in planes[1:]:
            mono += plane
        mono *= np.float32(1 / (full_scale * channels))
    if dtype is np.uint8:
        mono -= np.float32(1.0)
    if full_scale == 1.0:
        mono = np.clip(np.nan_to_num(mono, copy=False), -_MAX_AMPLITUDE, _MAX_AMPLITUDE)
    return mono


def _plane(frame: AudioFrame, index: int, dtype: type[np.number], count: int) -> NDArray[np.number]:
    """The frame's own memory as an array; behind `count` values lies FFmpeg's padding."""
    return np.frombuffer(memoryview(frame.planes[index]), dtype, count)


def resample(waveform: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """The same sound at another rate, by FFmpeg's resampler; sample 0 stays at time 0."""
    frame = AudioFrame.from_ndarray(waveform[None, :], format="fltp", layout="mono")
    frame.sample_rate = from_hz
    resampler = AudioResampler(format="fltp", layout="mono", rate=to_hz)
    converted = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([piece.to_ndarray()[0] for piece in converted])
