"""Damage to valid files: flips, overwritten numbers, cuts, splices, repeats, insertions."""

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

NUMBERS = [
    *(bytes([value]) for value in (0, 1, 0x7F, 0x80, 0xFF)),
    *(value.to_bytes(size, order) for size in (2, 4, 8) for value in (0, 1, 2 ** (8 * size) - 1)
      for order in ("big", "little")),
    *((2**31 - 1).to_bytes(4, order) for order in ("big", "little")),
]  # fmt: skip
HEADER_BYTES = 256
"""Half of the damage falls here, where the numbers are that decoders believe."""

Damage = Callable[[bytes, int, int], bytes]
"""From a file and the bounds of a part of it to the damaged file."""


@st.composite
def damaged(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    """One of the files, damaged in one to eight places."""
    data = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, min(HEADER_BYTES, len(data))) | st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(1, 64) | st.integers(1, 4_096)))
        damage = draw(
            st.one_of(FLIP, NUMBER, CUT, END, REPEAT, INSERT, st.sampled_from(samples).map(_splice))
        )
        data = damage(data, at, end)
    return data


def _flip(bit: int) -> Damage:
    return lambda data, at, end: (
        data[:at] + bytes(byte ^ 1 << bit for byte in data[at : at + 1]) + data[at + 1 :]
    )


def _number(number: bytes) -> Damage:
    return lambda data, at, end: data[:at] + number + data[at + len(number) :]


def _cut(data: bytes, at: int, end: int) -> bytes:
    return data[:at] + data[end:]


def _end(data: bytes, at: int, _: int) -> bytes:
    return data[:at]


def _splice(other: bytes) -> Damage:
    return lambda data, at, end: data[:at] + other[at:end] + data[end:]


def _repeat(times: int) -> Damage:
    return lambda data, at, end: data[:at] + data[at:end] * times + data[end:]


def _insert(inserted: bytes) -> Damage:
    return lambda data, at, end: data[:at] + inserted + data[at:]


FLIP = st.integers(0, 7).map(_flip)
NUMBER = st.sampled_from(NUMBERS).map(_number)
CUT = st.just(_cut)
END = st.just(_end)
REPEAT = st.integers(2, 40).map(_repeat)
INSERT = st.binary(max_size=64).map(_insert)
