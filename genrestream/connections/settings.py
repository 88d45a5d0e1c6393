"""Settings of encrypted and authenticated connections: environment variables, validated once.

`KAFKA_*`, `REDIS_*` and `TRITON_*`, listed in docs/security.md. The functions give the arguments of each
client, empty where nothing is set. Certificates are in PEM files; keys have no passphrase.
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, urlsplit

from pydantic import SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from genrestream.connections.errors import ConnectionSettingsError

MAX_SECRET_BYTES = 4096
"""A password file that is larger is the wrong file."""


@dataclass(frozen=True, slots=True)
class Security:
    """The clients' arguments for each server, by default those of plain connections without a login."""

    kafka: Mapping[str, Any] = field(default_factory=dict, repr=False)
    redis: Mapping[str, Any] = field(default_factory=dict, repr=False)
    triton: Mapping[str, Any] = field(default_factory=dict, repr=False)


PLAIN = Security()


class SecurityProtocol(StrEnum):
    """How a Kafka listener is spoken to."""

    PLAINTEXT = "PLAINTEXT"
    SSL = "SSL"
    SASL_PLAINTEXT = "SASL_PLAINTEXT"
    SASL_SSL = "SASL_SSL"


class SaslMechanism(StrEnum):
    """How a user logs in to Kafka."""

    PLAIN = "PLAIN"
    SCRAM_SHA_256 = "SCRAM-SHA-256"
    SCRAM_SHA_512 = "SCRAM-SHA-512"


class _Settings(BaseSettings):
    # Inputs are hidden, so that no password shows in an error; an empty variable is one that is not set.
    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    def _given(self, *fields: str) -> list[str]:
        """The variables of those fields that are set."""
        return [self._variable(field) for field in fields if getattr(self, field) is not None]

    def _variable(self, field: str) -> str:
        return f"{self.model_config.get('env_prefix', '')}{field}".upper()

    def _require_pair(self, first: str, second: str) -> None:
        given = self._given(first, second)
        if len(given) == 1:
            raise ValueError(f"{self._variable(first)} and {self._variable(second)} belong together")


class KafkaSettings(_Settings):
    """`KAFKA_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_")

    security_protocol: SecurityProtocol = SecurityProtocol.PLAINTEXT
    sasl_mechanism: SaslMechanism | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    sasl_password_file: Path | None = None
    ssl_ca_file: Path | None = None
    ssl_cert_file: Path | None = None
    ssl_key_file: Path | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        protocol = self.security_protocol
        files = self._given("ssl_ca_file", "ssl_cert_file", "ssl_key_file")
        if files and not protocol.endswith("SSL"):
            raise ValueError(f"{files[0]} is set, but KAFKA_SECURITY_PROTOCOL {protocol} has no TLS")
        self._require_pair("ssl_cert_file", "ssl_key_file")
        login = self._given("sasl_mechanism", "sasl_username", "sasl_password", "sasl_password_file")
        if not protocol.startswith("SASL"):
            if login:
                raise ValueError(f"{login[0]} is set, but KAFKA_SECURITY_PROTOCOL {protocol} has no login")
            return self
        for needed in ("sasl_mechanism", "sasl_username"):
            if getattr(self, needed) is None:
                raise ValueError(f"KAFKA_SECURITY_PROTOCOL {protocol} needs {self._variable(needed)}")
        if len(self._given("sasl_password", "sasl_password_file")) != 1:
            raise ValueError(
                f"KAFKA_SECURITY_PROTOCOL {protocol} needs KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE, "
                "and not both"
            )
        return self

    def arguments(self) -> dict[str, Any]:
        """What aiokafka's and kafka-python's clients take alike."""
        protocol = self.security_protocol
        if protocol is SecurityProtocol.PLAINTEXT:
            return {}
        found: dict[str, Any] = {"security_protocol": protocol.value}
        if protocol.endswith("SSL"):
            found["ssl_context"] = _tls_context(
                "KAFKA_SSL_", self.ssl_ca_file, self.ssl_cert_file, self.ssl_key_file
            )
        if self.sasl_mechanism is not None:
            password = self.sasl_password.get_secret_value() if self.sasl_password else ""
            if self.sasl_password_file is not None:
                password = _secret("KAFKA_SASL_PASSWORD_FILE", self.sasl_password_file)
            found |= {
                "sasl_mechanism": self.sasl_mechanism.value,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": password,
            }
        return found


class _FileSettings(_Settings):
    """Settings of a client that takes the names of PEM files."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None

    @model_validator(mode="after")
    def _paired(self) -> Self:
        self._require_pair("cert_file", "key_file")
        return self

    def _files(self, ca: str, certificate: str, key: str) -> dict[str, str | None]:
        """The files under the client's names for them."""
        # Read once here, so that what is wrong with them is told at once.
        _tls_context(self._variable(""), self.ca_file, self.cert_file, self.key_file)
        return {ca: _text(self.ca_file), certificate: _text(self.cert_file), key: _text(self.key_file)}


class RedisSettings(_FileSettings):
    """`REDIS_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="REDIS_")

    password_file: Path | None = None

    def arguments(self, url: str) -> dict[str, Any]:
        """What redis-py's `from_url` takes besides the URL, which it takes too."""
        from redis.connection import parse_url  # noqa: PLC0415 - the other servers' commands need no Redis

        try:
            parts = urlsplit(url)
            options, has_password = parse_qs(parts.query), parts.password is not None
            # An unescaped `/`, `?` or `#` ends the host part early: the password's beginning is the port.
            _ = parts.port
            whole = "@" not in parts.path + parts.query + parts.fragment
        except ValueError:
            whole = False
        if not whole:
            # It may hold a password, so neither it nor the error is shown.
            raise ConnectionSettingsError(
                "REDIS_URL is no URL; escape special characters of the password"
            ) from None
        # A URL's options win over arguments: they could turn verification off.
        if any(name.lower().startswith("ssl") for name in options):
            raise ConnectionSettingsError("REDIS_URL takes no ssl options: REDIS_CA_FILE names a CA")
        try:
            parse_url(url)  # type: ignore[no-untyped-call]
        except ValueError as error:
            raise ConnectionSettingsError(f"REDIS_URL: {error}") from None
        found: dict[str, Any] = {}
        if self.password_file is not None:
            if has_password or "password" in options:
                raise ConnectionSettingsError("REDIS_URL holds a password and REDIS_PASSWORD_FILE is set")
            found["password"] = _secret("REDIS_PASSWORD_FILE", self.password_file)
        if parts.scheme != "rediss":
            if files := self._given("ca_file", "cert_file", "key_file"):
                raise ConnectionSettingsError(f"{files[0]} is set, but REDIS_URL is no rediss:// URL")
            return found
        found |= self._files("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
        return found | {"ssl_cert_reqs": "required", "ssl_check_hostname": True}


class TritonSettings(_FileSettings):
    """`TRITON_<FIELD>`; a CA or a certificate asks for TLS as well."""

    model_config = SettingsConfigDict(env_prefix="TRITON_")

    tls: bool | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        files = self._given("ca_file", "cert_file", "key_file")
        if files and self.tls is False:
            raise ValueError(f"{files[0]} is set, but TRITON_TLS turns TLS off")
        return self

    def arguments(self) -> dict[str, Any]:
        """What tritonclient's gRPC clients take."""
        if not (self.tls or self._given("ca_file", "cert_file")):
            return {}
        return {"ssl": True, **self._files("root_certificates", "certificate_chain", "private_key")}


Loaded = TypeVar("Loaded", bound=_Settings)


def _loaded(settings: Callable[[], Loaded]) -> Loaded:
    try:
        return settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        text = first["msg"].removeprefix("Value error, ")
        variable = "_".join(str(part) for part in first["loc"]).upper()
        prefix = error.title.removesuffix("Settings").upper()
        # From None: the error's own text may tell more than one line.
        raise ConnectionSettingsError(f"{prefix}_{variable}: {text}" if variable else text) from None


def kafka_security() -> Mapping[str, Any]:
    """The arguments of Kafka's clients: protocol, TLS context, SASL; none for a plain listener.

    Raises:
        ConnectionSettingsError: a setting is wrong, or a file cannot be read.
    """
    return _loaded(KafkaSettings).arguments()


def redis_security(url: str) -> Mapping[str, Any]:
    """The arguments of Redis's clients besides the URL.

    Raises:
        ConnectionSettingsError: a setting is wrong, or a file cannot be read.
    """
    return _loaded(RedisSettings).arguments(url)


def triton_security() -> Mapping[str, Any]:
    """The arguments of Triton's gRPC clients.

    Raises:
        ConnectionSettingsError: a setting is wrong, or a file cannot be read.
    """
    return _loaded(TritonSettings).arguments()


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _secret(variable: str, path: Path) -> str:
    """The file's text without the line's end."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise ConnectionSettingsError(f"{variable}: cannot read {path}: {error.strerror}") from error
    if len(content) > MAX_SECRET_BYTES:
        raise ConnectionSettingsError(f"{variable}: {path} has more than {MAX_SECRET_BYTES} bytes")
    try:
        secret = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        # The error would show the bytes.
        raise ConnectionSettingsError(f"{variable}: {path} is no text") from None
    if not secret:
        raise ConnectionSettingsError(f"{variable}: {path} is empty")
    return secret


def _tls_context(prefix: str, ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Verifies certificate and host name; the system's authorities where no CA is named."""
    given = {"CA_FILE": ca, "CERT_FILE": certificate, "KEY_FILE": key}
    for name, path in given.items():
        if path is not None and not path.is_file():
            raise ConnectionSettingsError(f"{prefix}{name}: no file at {path}")
    try:
        context = ssl.create_default_context(cafile=ca)
    except (ssl.SSLError, OSError) as error:
        raise ConnectionSettingsError(f"{prefix}CA_FILE: {ca} holds no readable certificates") from error
    if certificate is not None:
        try:
            # An empty passphrase: OpenSSL would ask the terminal for one.
            context.load_cert_chain(certificate, key, password="")
        except (ssl.SSLError, OSError) as error:
            pair = f"{certificate} and {key}"
            raise ConnectionSettingsError(
                f"{prefix}CERT_FILE: {pair} are no certificate with its key"
            ) from error
    return context
