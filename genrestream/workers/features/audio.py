"""Recordings to log-mel patches: only what the patches need is decoded.

Legend: p patches, f frames of a patch, m mel bands, n samples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genrestream.schemas.features import AudioFeatures
from genrestream.workers.features.content import FeatureLimits
from genrestream.workers.features.mel import log_mel
from genrestream.workers.features.recording import Recording


@dataclass(frozen=True, slots=True)
class _Span:
    """Frames [first, first + count) of the recording's middle."""

    first: int
    count: int


def audio_tensor(data: bytes, spec: AudioFeatures, limits: FeatureLimits) -> NDArray[np.float32]:
    """Log-mel patches float32 [p, f, m], spread evenly over the recording's middle.

    Frame i of the middle is centred at i hops from its start; at the recording's own ends the sound is
    reflected, as librosa does. A middle shorter than a patch is repeated until it fills one. Any container
    and codec that FFmpeg reads as sound. Raises UnreadableMedia or MediaTooLarge.
    """
    with Recording(data, spec.sample_rate_hz, limits) as recording:
        middle = min(recording.samples, round(spec.middle_s * spec.sample_rate_hz))
        start = (recording.samples - middle) // 2
        frames = 1 + middle // spec.hop_samples
        patch_frames = min(frames, spec.patch_frames)
        firsts = patch_starts(frames, patch_frames, spec.patches)
        patches: dict[int, NDArray[np.float32]] = {}
        for span in _merged(sorted(set(firsts)), patch_frames):
            mel = log_mel(_span_samples(recording, span, start, spec), spec)
            for first in firsts:
                if span.first <= first < span.first + span.count:
                    patches[first] = mel[first - span.first : first - span.first + patch_frames]
    repeats = -(-spec.patch_frames // patch_frames)
    return np.stack([np.tile(patches[first], (repeats, 1))[: spec.patch_frames] for first in firsts])


def patch_starts(frames: int, patch_frames: int, patches: int) -> list[int]:
    """The first frame of each patch: evenly spread from the start to the end, one alone in the middle."""
    room = frames - patch_frames
    if patches == 1:
        return [room // 2]
    return [round(index * room / (patches - 1)) for index in range(patches)]


def _merged(firsts: list[int], patch_frames: int) -> list[_Span]:
    """Spans that hold the patches; those that overlap or touch are decoded as one."""
    spans: list[_Span] = []
    for first in firsts:
        if spans and first <= spans[-1].first + spans[-1].count:
            spans[-1] = _Span(spans[-1].first, first + patch_frames - spans[-1].first)
        else:
            spans.append(_Span(first, patch_frames))
    return spans


def _span_samples(recording: Recording, span: _Span, start: int, spec: AudioFeatures) -> NDArray[np.float32]:
    """The samples under the span's windows, reflected where a window reaches over the recording's ends."""
    half = spec.window_samples // 2
    begin = start + span.first * spec.hop_samples - half
    end = begin + (span.count - 1) * spec.hop_samples + spec.window_samples
    samples = recording.read(max(0, begin), min(end, recording.samples))
    missing_before = max(0, -begin)
    missing_after = end - begin - missing_before - len(samples)
    return np.pad(samples, (missing_before, missing_after), mode="reflect")
