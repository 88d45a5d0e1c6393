"""How commands connect to Kafka, Redis and Triton: the environment's settings, errors in one line."""

from genrestream.cli.errors import CommandError
from genrestream.connections.errors import ConnectionSettingsError
from genrestream.connections.settings import Security, kafka_security, redis_security, triton_security


def connection_security(
    *, kafka: bool = False, redis_url: str | None = None, triton: bool = False
) -> Security:
    """The clients' arguments of the servers that a command needs.

    Raises `CommandError` when a setting of theirs is wrong.
    """
    try:
        return Security(
            kafka=kafka_security() if kafka else {},
            redis=redis_security(redis_url) if redis_url is not None else {},
            triton=triton_security() if triton else {},
        )
    except ConnectionSettingsError as error:
        raise CommandError(str(error)) from error
