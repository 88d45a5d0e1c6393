"""Where commands find Kafka, Redis and Triton."""

from dataclasses import dataclass, field
from pathlib import Path

from genrestream.cli.errors import CommandError
from genrestream.ops.errors import StackError
from genrestream.ops.state import External, load_state, stack_directory


@dataclass(frozen=True, slots=True)
class Addresses:
    """The three servers that a worker needs."""

    kafka_bootstrap: str
    """host:port, several with commas."""
    redis_url: str = field(repr=False)
    triton_url: str
    """host:port of gRPC."""
    models: Path | None = None
    """The model repository that the running stack's own Triton serves; None with any other Triton."""


def resolve_addresses() -> Addresses:
    """The addresses from `KAFKA_BOOTSTRAP`, `REDIS_URL` and `TRITON_URL`, the rest from the running stack.

    Raises `CommandError` when some are not set and no stack runs.
    """
    given = External.from_environment()
    values = {
        "KAFKA_BOOTSTRAP": given.kafka_bootstrap,
        "REDIS_URL": given.redis_url,
        "TRITON_URL": given.triton_url,
    }
    models = None
    missing = [name for name, value in values.items() if value is None]
    if missing:
        try:
            state = load_state(stack_directory())
        except StackError as error:
            raise CommandError(str(error)) from error
        if state is None:
            raise CommandError(
                f"no local stack is running: run `genrestream up`, or set {', '.join(missing)}"
            )
        models = Path(state.models) if given.triton_url is None and state.triton_http_url else None
        values = {
            "KAFKA_BOOTSTRAP": given.kafka_bootstrap or state.kafka_bootstrap,
            "REDIS_URL": given.redis_url or state.redis_url,
            "TRITON_URL": given.triton_url or state.triton_url,
        }
    return Addresses(
        kafka_bootstrap=values["KAFKA_BOOTSTRAP"] or "",
        redis_url=values["REDIS_URL"] or "",
        triton_url=values["TRITON_URL"] or "",
        models=models,
    )
