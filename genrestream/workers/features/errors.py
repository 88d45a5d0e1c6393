"""Why a medium gives no features, and what to do when the features themselves are set up wrongly."""

from typing import ClassVar

from genrestream.schemas.labels import MissingReason


class MediaError(Exception):
    """A medium gives no tensor: mark its modality missing for `reason`; trying again gives the same.

    The message is one sentence for people and holds nothing of the content.
    """

    reason: ClassVar[MissingReason]


class AbsentMedia(MediaError):  # noqa: N818 - names what the medium is
    """The item has none."""

    reason = MissingReason.ABSENT


class UnreadableMedia(MediaError):  # noqa: N818 - names what the medium is
    """Empty, truncated, mislabelled or not decodable."""

    reason = MissingReason.UNREADABLE


class MediaTooLarge(MediaError):  # noqa: N818 - names what the medium is
    """More bytes, pixels, seconds, channels or streams than allowed."""

    reason = MissingReason.TOO_LARGE


class FeatureSetupError(Exception):
    """A file that features need is absent or not the one named: stop, no item can be labelled."""
