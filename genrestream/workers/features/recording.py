"""A recording in any container: its length, and mono samples of any part of it.

Legend: n samples, c channels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from math import ceil, floor
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from numpy.typing import NDArray

from genrestream.workers.features.content import FeatureLimits
from genrestream.workers.features.errors import MediaError, MediaTooLarge, UnreadableMedia
from genrestream.workers.features.headers import mp3_states_length, wav_missing_bytes
from genrestream.workers.features.waveform import mono_waveform, resample

# What music, podcasts and voice notes are published in, of the 350 formats that FFmpeg knows. It also reads
# playlists and scripts that open other files and addresses: only containers that hold their sound are let in.
_CONTAINERS = "aac,ac3,aiff,amr,ape,asf,avi,caf,eac3,flac,matroska,mov,mp3,mpegts,ogg,w64,wav,wv"
# Decoders of sound alone, so that the film or the cover beside it reaches none; those of game consoles and
# conference systems, whose code hardly anybody looks at, stay out.
_DECODERS = (
    "aac,aac_latm,ac3,adpcm_ima_qt,adpcm_ima_wav,adpcm_ms,alac,amrnb,amrwb,ape,eac3,flac,mp1,mp2,"
    "mp3float,opus,pcm_alaw,pcm_f32be,pcm_f32le,pcm_f64be,pcm_f64le,pcm_mulaw,pcm_s16be,pcm_s16le,pcm_s24be,"
    "pcm_s24le,pcm_s32be,pcm_s32le,pcm_s8,pcm_u8,vorbis,wavpack,wmalossless,wmapro,wmav1,wmav2"
)
_OPEN_OPTIONS = {
    "format_whitelist": _CONTAINERS,
    "codec_whitelist": _DECODERS,
    "protocol_whitelist": "",
    "probesize": "1048576",
}
# FFmpeg searches the samples of a WAV file for DTS in disguise as far as it may, at 30 ms a megabyte; the
# first kilobytes show it.
_OPEN_WAV_OPTIONS = {**_OPEN_OPTIONS, "probesize": "65536"}
# Streams of bare frames: FFmpeg guesses their length from the bit rate, so that their packets are counted.
_BARE_FRAMES = frozenset({"aac", "ac3", "amr", "eac3"})

_PREROLL_S = 0.25
"""Decoded and thrown away before each part: MP3 frames reach 9 frames back, Opus asks for 80 ms."""
_END_TOLERANCE_S = 0.25
"""How much a container may overstate its length: padding and priming of the encoder."""
_EDGE_S = 0.02
"""Sound around a part, so that the resampling filter (32 taps of the lower rate) swings in outside of it."""
_MAX_BAD_PACKETS = 16
"""Damaged packets passed over in one part before it counts as not decodable."""
_WAV_SLACK_BYTES = 1_024
# A header that lies about sizes, as a rule: FFmpeg sets memory aside by what it says.
_NO_MEMORY = "the recording asks for more memory than there is"


@dataclass(frozen=True, slots=True)
class _Part:
    """Decoded sound as it came: mono float32 [n], the recording's index of its first sample, its rate."""

    samples: NDArray[np.float32]
    first: int
    rate_hz: int


class Recording:
    """The best sound stream of a file in memory, as mono samples at one rate. Use it in a `with`.

    Entering raises UnreadableMedia or MediaTooLarge.
    """

    def __init__(self, data: bytes, sample_rate_hz: int, limits: FeatureLimits) -> None:
        self._data = data
        self._sample_rate_hz = sample_rate_hz
        self._limits = limits
        self._length_s = 0.0

    def __enter__(self) -> Self:
        self._open()
        try:
            self._length_s = self._stated_length_s() or self._counted_length_s()
            _check_length(self._length_s, self._limits)
        except MediaError:
            self._container.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    @property
    def samples(self) -> int:
        """The recording's length at the rate asked for, as its header states it, else as counted."""
        return max(1, int(self._length_s * self._sample_rate_hz))

    def read(self, begin: int, end: int) -> NDArray[np.float32]:
        """Mono samples float32 [n] in about -1..1, the mean of all channels, from `begin` to before `end`.

        Fewer at the very end by up to a quarter second, which containers overstate. Raises UnreadableMedia
        when more is lacking or nothing can be decoded, or MediaTooLarge.
        """
        begin_s, end_s = begin / self._sample_rate_hz, end / self._sample_rate_hz
        part = self._decode(begin_s, end_s, seek=begin_s > _PREROLL_S)
        if part is None:
            if end_s > self._limits.max_decoded_s:
                raise MediaTooLarge(
                    f"the recording cannot be sought and is longer than {self._limits.max_decoded_s:g} s"
                )
            part = self._decode(begin_s, end_s, seek=False)
        samples = (
            np.empty(0, np.float32) if part is None else _resampled(part, self._sample_rate_hz, begin, end)
        )
        if len(samples) < max(1.0, end - begin - _END_TOLERANCE_S * self._sample_rate_hz):
            raise UnreadableMedia(
                f"the recording is cut off or damaged: of {self._length_s:.1f} s, {end_s:.1f} s are not there"
            )
        return samples

    def _open(self) -> None:
        # Sloppy writers misstate the size by a chunk's header or padding.
        if (missing_bytes := wav_missing_bytes(self._data)) > _WAV_SLACK_BYTES:
            raise UnreadableMedia(f"the recording is cut off: {missing_bytes:,} bytes are missing")
        options = _OPEN_WAV_OPTIONS if self._data.startswith(b"RIFF") else _OPEN_OPTIONS
        try:
            self._container: InputContainer = av.open(
                BytesIO(self._data), mode="r", metadata_errors="ignore", options=options
            )
        except MemoryError as error:
            raise MediaTooLarge(_NO_MEMORY) from error
        except (av.FFmpegError, OSError, ValueError) as error:
            raise UnreadableMedia(f"not a recording that FFmpeg reads: {_reason(error)}") from error
        self._at_start = True
        try:
            self._stream = _sound_stream(self._container, self._limits)
        except MediaError:
            self._container.close()
            raise

    def _stated_length_s(self) -> float:
        """The length that a header states; 0 when none does, and FFmpeg at best guesses from the bit rate."""
        name = self._container.format.name
        if name in _BARE_FRAMES or (name == "mp3" and not mp3_states_length(self._data)):
            return 0.0
        stream = self._stream
        if stream.duration is not None and stream.time_base is not None:
            return max(0.0, float(stream.duration * stream.time_base))
        if self._container.duration is not None:
            return max(0.0, self._container.duration / av.time_base - self._start_s)
        return 0.0

    def _counted_length_s(self) -> float:
        """The length by the packets that are there, none of them decoded."""
        self._container.close()
        self._open()
        self._at_start = False
        time_base = self._stream.time_base or Fraction(0)
        end = 0
        total = 0
        for packet in self._packets():
            total += packet.duration or 0
            if packet.pts is not None:
                end = max(end, packet.pts + (packet.duration or 0))
        return max(float(end * time_base) - self._start_s, float(total * time_base) if not end else 0.0)

    @property
    def _start_s(self) -> float:
        stream = self._stream
        if stream.start_time is None or stream.time_base is None:
            return 0.0
        return float(stream.start_time * stream.time_base)

    def _packets(self) -> "Iterator[Packet[Any]]":
        """The sound's packets from here on; a broken file ends where it breaks."""
        try:
            yield from self._container.demux(self._stream)
        except MemoryError as error:
            raise MediaTooLarge(_NO_MEMORY) from error
        except (av.FFmpegError, OSError, ValueError, IndexError):
            # IndexError: a broken transport stream announces another stream in its middle.
            return

    def _decode(self, begin_s: float, end_s: float, *, seek: bool) -> _Part | None:
        """The sound from shortly before `begin_s` to shortly after `end_s`, as far as there is any.

        None when decoding can only start after `begin_s`, or the container does not tell where it starts.
        """
        if not self._go_to(begin_s, seek=seek):
            return None
        kept: list[AudioFrame] = []
        position = first = rate_hz = 0
        for frame in self._frames():
            if not rate_hz:
                rate_hz = frame.sample_rate
                if frame.pts is not None and frame.time_base is not None:
                    position = round((float(frame.pts * frame.time_base) - self._start_s) * rate_hz)
                elif seek:
                    return None
                if position > (begin_s + _END_TOLERANCE_S) * rate_hz:
                    return None
            if position + frame.samples > (begin_s - 2 * _EDGE_S) * rate_hz:
                self._check_frame(frame, rate_hz)
                first = first if kept else position
                kept.append(frame)
            position += frame.samples
            if position >= (end_s + 2 * _EDGE_S) * rate_hz:
                break
        return _Part(mono_waveform(kept), first, rate_hz) if kept else None

    def _go_to(self, begin_s: float, *, seek: bool) -> bool:
        """Stand shortly before `begin_s`, or at the start; False when the container cannot be sought."""
        at_start, self._at_start = self._at_start, False
        if not seek:
            if not at_start:
                self._container.close()
                self._open()
            return True
        target_s = max(0.0, begin_s - _PREROLL_S) + self._start_s
        try:
            self._container.seek(int(target_s / (self._stream.time_base or 1)), stream=self._stream)
        except MemoryError as error:
            raise MediaTooLarge(_NO_MEMORY) from error
        except (av.FFmpegError, OSError, ValueError):
            return False
        return True

    def _frames(self) -> Iterator[AudioFrame]:
        bad_packets = 0
        for packet in self._packets():
            try:
                yield from self._stream.codec_context.decode(packet)
            except MemoryError as error:
                # Passed over as damage, it would change the features of what is whole.
                raise MediaTooLarge(_NO_MEMORY) from error
            except av.FFmpegError as error:
                bad_packets += 1
                if bad_packets > _MAX_BAD_PACKETS:
                    raise UnreadableMedia(f"the recording cannot be decoded: {_reason(error)}") from error

    def _check_frame(self, frame: AudioFrame, rate_hz: int) -> None:
        channels = frame.layout.nb_channels
        if channels > self._limits.max_channels:
            raise MediaTooLarge(
                f"the recording has {channels} channels, allowed are {self._limits.max_channels}"
            )
        if rate_hz > self._limits.max_sample_rate_hz:
            raise MediaTooLarge(
                f"the recording has {rate_hz:,} Hz, allowed are {self._limits.max_sample_rate_hz:,}"
            )
        if frame.sample_rate != rate_hz or rate_hz < self._limits.min_sample_rate_hz:
            raise UnreadableMedia(
                f"the recording changes or has a strange sample rate: {frame.sample_rate} Hz"
            )


def _check_length(length_s: float, limits: FeatureLimits) -> None:
    if length_s > limits.max_audio_s:
        raise MediaTooLarge(f"the recording has {length_s:,.0f} s, allowed are {limits.max_audio_s:,.0f}")
    if length_s <= 0:
        raise UnreadableMedia("the recording holds no sound")


def _sound_stream(container: InputContainer, limits: FeatureLimits) -> AudioStream:
    """The container's best sound; cover art and video beside it are left alone."""
    if len(container.streams) > limits.max_streams:
        raise MediaTooLarge(
            f"the file holds {len(container.streams)} streams, allowed are {limits.max_streams}"
        )
    stream = container.streams.best("audio")
    # The codec is None, whatever the type says, where FFmpeg has no decoder for it.
    codec: object = stream.codec_context if stream is not None else None
    if not isinstance(stream, AudioStream) or codec is None:
        raise UnreadableMedia("the file holds no sound that FFmpeg decodes")
    # FFmpeg holds what it opens itself to the list; the decoder of the samples is opened by PyAV.
    if stream.codec_context.codec.name not in _DECODERS.split(","):
        raise UnreadableMedia(f"sound as {stream.codec_context.codec.name} is not read")
    # The pool runs a process a core already.
    stream.codec_context.thread_count = 1
    return stream


def _resampled(part: _Part, rate_hz: int, begin: int, end: int) -> NDArray[np.float32]:
    """The samples from `begin` to before `end` at `rate_hz`, as far as the part reaches."""
    scale = Fraction(rate_hz, part.rate_hz)
    # The grids of both rates meet every `step` samples of the source: starting there, no sample is shifted.
    step = scale.denominator
    from_source = floor((begin / scale - round(_EDGE_S * part.rate_hz)) / step) * step
    to_source = ceil(end / scale) + round(_EDGE_S * part.rate_hz)
    before = max(0, part.first - from_source)
    samples = part.samples[max(0, from_source - part.first) : max(0, to_source - part.first)]
    if before:
        samples = np.concatenate([np.zeros(before, np.float32), samples])
    if scale != 1:
        samples = resample(samples, part.rate_hz, rate_hz)
    offset = begin - int(from_source * scale)
    return samples[offset : offset + end - begin]


def _reason(error: Exception) -> str:
    """FFmpeg's own words without the name of the file, which lies in memory and has none."""
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else type(error).__name__
