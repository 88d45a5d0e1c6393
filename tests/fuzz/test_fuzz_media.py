"""Any bytes, and valid files in any state of damage, through the picture and sound features."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.effort import examples
from tests.fuzz.mutations import damaged
from tests.fuzz.samples import broken_pictures, pictures, recordings
from tests.fuzz.targets import check_content, check_picture, check_recording

ANY = st.binary(max_size=2_000)


@pytest.mark.parametrize("name", pictures())
def test_each_sample_is_a_picture(name: str) -> None:
    """What is damaged below is read when it is whole."""
    assert check_picture(pictures()[name]) == "picture"


@pytest.mark.parametrize("name", broken_pictures())
def test_each_broken_sample_is_refused(name: str) -> None:
    """What is broken by design is unreadable, whatever Pillow raises for it."""
    assert check_picture(broken_pictures()[name]) == "unreadable"


@pytest.mark.parametrize("name", recordings())
def test_each_sample_is_a_recording(name: str) -> None:
    """What is damaged below is heard when it is whole."""
    assert check_recording(recordings()[name]) == "patches"


@examples(600)
@given(damaged([*pictures().values(), *broken_pictures().values()]))
def test_damaged_pictures(data: bytes) -> None:
    """A tensor of the right shape, or a MediaError."""
    check_picture(data)


@examples(400)
@given(damaged(list(recordings().values())))
def test_damaged_recordings(data: bytes) -> None:
    """Finite patches of the right shape, or a MediaError."""
    check_recording(data)


@examples(150)
@given(st.sampled_from([b"", *(data[:16] for data in pictures().values())]), ANY)
def test_any_bytes_behind_a_picture_s_first_ones(start: bytes, rest: bytes) -> None:
    """What begins like a picture and is none."""
    check_picture(start + rest)


@examples(150)
@given(st.sampled_from([b"", *(data[:32] for data in recordings().values())]), ANY)
def test_any_bytes_behind_a_recording_s_first_ones(start: bytes, rest: bytes) -> None:
    """What begins like a recording and is none."""
    check_recording(start + rest)


@examples(100)
@given(
    damaged([*pictures().values(), *recordings().values()]),
    damaged([*pictures().values(), *recordings().values()]),
)
def test_mislabelled_and_damaged_contents(image: bytes, audio: bytes) -> None:
    """Sound as the picture, pictures as the sound: a tensor or a reason for each."""
    check_content(image, audio)
