"""Recordings as files: the containers, codecs, rates and channels that catalogues hold."""

import io
from dataclasses import dataclass
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray

from genrestream.sample.plan import ItemPlan
from genrestream.sample.tones import render_tones

SHORTEST_S = 12.0
LONGEST_S = 20.0


@dataclass(frozen=True, slots=True)
class Format:
    """How a recording is stored."""

    suffix: str
    container: str
    codec: str
    sample_format: Literal["fltp", "s16", "flt", "s16p"]
    rates_hz: tuple[int, ...]
    share: float


# Opus knows 48 kHz only; lower rates are common in scraped previews and cheap to make.
FORMATS = (
    Format(".mp3", "mp3", "libmp3lame", "fltp", (16_000, 16_000, 22_050, 44_100), 0.6),
    Format(".flac", "flac", "flac", "s16", (16_000, 22_050, 32_000), 0.2),
    Format(".ogg", "ogg", "libopus", "flt", (48_000,), 0.1),
    Format(".m4a", "ipod", "aac", "fltp", (22_050, 32_000), 0.1),
)
_STEREO = 0.3


def record(plan: ItemPlan) -> tuple[str, bytes]:
    """The suffix of the file and the bytes of the item's recording, 12 to 20 s."""
    rng = plan.rng("recording")
    form = FORMATS[int(rng.choice(len(FORMATS), p=[form.share for form in FORMATS]))]
    rate_hz = int(rng.choice(form.rates_hz))
    mono = render_tones(plan, float(rng.uniform(SHORTEST_S, LONGEST_S)), rate_hz)
    channels = [mono]
    if rng.random() < _STEREO:
        # The right side hears the same 8 ms later and softer.
        channels.append(0.8 * np.roll(mono, rate_hz // 125))
    return form.suffix, _encoded(np.stack(channels).astype(np.float32), rate_hz, form)


def _encoded(wave: NDArray[np.float32], rate_hz: int, form: Format) -> bytes:
    """`wave`, float32 [c, s] within -1..1, as a file."""
    layout = "mono" if wave.shape[0] == 1 else "stereo"
    buffer = io.BytesIO()
    # Bit-exact: no random serial number in Ogg, no library version in the tags.
    with av.open(buffer, "w", format=form.container, options={"fflags": "bitexact"}) as container:
        stream = container.add_stream(form.codec, rate=rate_hz, layout=layout)
        if not isinstance(stream, av.AudioStream):
            raise TypeError(f"{form.codec} is no audio codec")
        stream.options = {"compression_level": "9"} if form.codec == "libmp3lame" else {}
        resampler = av.AudioResampler(format=form.sample_format, layout=layout, rate=rate_hz)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(wave), format="fltp", layout=layout)
        frame.sample_rate = rate_hz
        for ready in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(ready))
        container.mux(stream.encode(None))
    return buffer.getvalue()
