"""Errors of the streaming path; each type tells its caller what to do."""

from genrestream.schemas.dead_letters import DeadLetterCode
from genrestream.schemas.labels import MissingReason


class Rejected(Exception):  # noqa: N818 - a verdict on the item, not a fault of the program
    """The item cannot be labelled: dead-letter it with this code. Trying again gives the same."""

    def __init__(self, code: DeadLetterCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class DeliveryImpossibleError(Exception):
    """Kafka refuses for good what is written (rights, limits, settings): stop the worker with this line."""


class FeaturesImpossibleError(DeliveryImpossibleError):
    """No item can be given features, so that none can be delivered: stop the worker with this line."""


class KafkaUnavailableError(Exception):
    """No broker answers; one line for people. It may later, but who has just started gives up."""


class CacheUnavailableError(Exception):
    """Redis does not answer as it should; one line for people. Writing never raises it, reading does."""


class CacheAccessError(Exception):
    """Redis refuses the login or the TLS handshake; one line for people. It will until settings change."""


class CacheRefusedError(Exception):
    """Redis refuses this write for good: a key of ours holds what none of ours does."""


class InferenceUnavailable(Exception):  # noqa: N818 - says what to do: try again
    """Triton cannot be reached, is not ready, or took too long: try the batch again."""


class InferenceRejected(Exception):  # noqa: N818 - says what to do: give up on the batch
    """Triton refuses these tensors for good: take the batch apart, then dead-letter the item that did it."""


class MediaUnavailable(Exception):  # noqa: N818 - a verdict on the medium, not a fault of the program
    """The picture or recording cannot be read: label the item from the rest, and say why."""

    def __init__(self, reason: MissingReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class MediaMayPass(MediaUnavailable):
    """The medium cannot be read now: try again in `wait_s` seconds or later, while there is time."""

    def __init__(self, reason: MissingReason, detail: str, wait_s: float = 0.0) -> None:
        super().__init__(reason, detail)
        self.wait_s = wait_s


class PortUnavailableError(Exception):
    """The port for metrics and health cannot be listened on; one line for people."""
