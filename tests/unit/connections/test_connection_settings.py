"""Settings of connections: what is wrong is one line that names the variable and shows no secret."""

import pytest

from genrestream.connections.errors import ConnectionSettingsError
from genrestream.connections.settings import (
    KafkaSettings,
    Security,
    kafka_security,
    redis_security,
    triton_security,
)

SECRET = "hush-4711"  # noqa: S105 - what must not show
NO_REDIS_URL = "^REDIS_URL is no URL; escape special characters of the password$"
LOGIN = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-256",
    "KAFKA_SASL_USERNAME": "worker",
    "KAFKA_SASL_PASSWORD": SECRET,
}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in (
        "SECURITY_PROTOCOL",
        "SASL_MECHANISM",
        "SASL_USERNAME",
        "SASL_PASSWORD",
        "SASL_PASSWORD_FILE",
    ):
        monkeypatch.delenv(f"KAFKA_{name}", raising=False)
    for name in ("CA_FILE", "CERT_FILE", "KEY_FILE"):
        for server in ("KAFKA_SSL", "REDIS", "TRITON"):
            monkeypatch.delenv(f"{server}_{name}", raising=False)
    monkeypatch.delenv("REDIS_PASSWORD_FILE", raising=False)
    monkeypatch.delenv("TRITON_TLS", raising=False)


def setting(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_nothing_set_is_plain():
    """Without settings the clients get no arguments: the local stack is plain."""
    assert (kafka_security(), redis_security("redis://h/0"), triton_security()) == ({}, {}, {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "^KAFKA_SECURITY_PROTOCOL: Input should be 'PLAINTEXT', 'SSL'"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL"}, "^KAFKA_SASL_MECHANISM is set, but .* SSL has no login$"),
        ({"KAFKA_SASL_MECHANISM": "GSSAPI"}, "^KAFKA_SASL_MECHANISM: Input should be 'PLAIN'"),
        ({"KAFKA_SASL_MECHANISM": ""}, "SASL_SSL needs KAFKA_SASL_MECHANISM$"),
        ({"KAFKA_SASL_USERNAME": ""}, "SASL_SSL needs KAFKA_SASL_USERNAME$"),
        ({"KAFKA_SASL_PASSWORD": ""}, "needs KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWORD_FILE"),
        ({"KAFKA_SASL_PASSWORD_FILE": "/nowhere"}, "and not both$"),
        ({"KAFKA_SSL_CA_FILE": "/nowhere"}, "^KAFKA_SSL_CA_FILE: no file at /nowhere$"),
        ({"KAFKA_SSL_CA_FILE": __file__}, "^KAFKA_SSL_CA_FILE: .* holds no readable certificates$"),
        ({"KAFKA_SSL_CERT_FILE": "/a"}, "^KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE belong together$"),
        (
            {"KAFKA_SSL_CERT_FILE": __file__, "KAFKA_SSL_KEY_FILE": __file__},
            "are no certificate with its key$",
        ),
        (
            {"KAFKA_SASL_PASSWORD": "", "KAFKA_SASL_PASSWORD_FILE": "/nowhere"},
            "^KAFKA_SASL_PASSWORD_FILE: cannot read /nowhere: No such file",
        ),
    ],
)
def test_wrong_kafka_settings_are_told(monkeypatch, changes, message):
    """Each names the variable in one line, without the password."""
    setting(monkeypatch, {**LOGIN, **changes})
    with pytest.raises(ConnectionSettingsError, match=message) as found:
        kafka_security()
    assert SECRET not in str(found.value)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(
    ("url", "variables", "message"),
    [
        (f"rediss://u:{SECRET}@h/0?ssl_cert_reqs=none", {}, "^REDIS_URL takes no ssl options"),
        (f"rediss://u:{SECRET}@h/0?ssl_check_hostname=false", {}, "^REDIS_URL takes no ssl options"),
        (f"redis://u:{SECRET}@h/0", {"REDIS_CA_FILE": "/a"}, "REDIS_URL is no rediss:// URL$"),
        (f"redis://u:{SECRET}@h/0", {"REDIS_PASSWORD_FILE": "/a"}, "REDIS_PASSWORD_FILE is set$"),
        (f"redis://u:{SECRET}@[h/0", {}, NO_REDIS_URL),
        (f"redis://u:{SECRET}/x@h/0", {}, NO_REDIS_URL),
        (f"redis://u:12/{SECRET}@h/0", {}, NO_REDIS_URL),
        (f"redis://u:12?{SECRET}@h/0", {}, NO_REDIS_URL),
        (f"redis://u:12#{SECRET}@h/0", {}, NO_REDIS_URL),
        (f"redis://h/0?password=x@{SECRET}", {}, NO_REDIS_URL),
        (f"http://u:{SECRET}@h/0", {}, r"^REDIS_URL: .*schemes \(redis://, rediss://, unix://\)$"),
        (f"redis://u:{SECRET}@h/0?db={SECRET}", {}, "^REDIS_URL: Invalid value for 'db' in connection URL.$"),
    ],
)
def test_wrong_redis_settings_are_told(monkeypatch, url, variables, message):
    """No option of the URL turns verification off, and no error shows the URL."""
    setting(monkeypatch, variables)
    with pytest.raises(ConnectionSettingsError, match=message) as found:
        redis_security(url)
    assert SECRET not in str(found.value)


def test_an_escaped_password_is_one():
    """What the error asks for is taken, in the host part and as an option."""
    assert redis_security("redis://u:pa%2Fss%3F%23%40@h:6379/0") == {}
    assert redis_security("redis://h:6379/0?password=pa%40ss") == {}


def test_tls_for_triton_is_not_half_on(monkeypatch):
    """TLS turned off beside a CA is an error; TRITON_TLS=1 alone trusts gRPC's own authorities."""
    setting(monkeypatch, {"TRITON_TLS": "1"})
    assert triton_security()["ssl"] is True
    setting(monkeypatch, {"TRITON_TLS": "0", "TRITON_CA_FILE": "/a"})
    with pytest.raises(
        ConnectionSettingsError, match=r"^TRITON_CA_FILE is set, but TRITON_TLS turns TLS off$"
    ):
        triton_security()


def test_a_password_comes_from_a_file(monkeypatch, tmp_path):
    """Without the end of its line; an empty or too large file is an error."""
    path = tmp_path / "password"
    setting(monkeypatch, {**LOGIN, "KAFKA_SASL_PASSWORD": "", "KAFKA_SASL_PASSWORD_FILE": str(path)})
    path.write_text(f"{SECRET}\n")
    assert kafka_security()["sasl_plain_password"] == SECRET
    for content, message in (("\n", "is empty"), ("x" * 5000, "more than 4096 bytes")):
        path.write_text(content)
        with pytest.raises(ConnectionSettingsError, match=message):
            kafka_security()


def test_no_secret_in_what_is_printed(monkeypatch):
    """The settings and what the wiring carries do not show the password."""
    setting(monkeypatch, LOGIN)
    security = Security(kafka=kafka_security())
    assert security.kafka["sasl_plain_password"] == SECRET
    assert SECRET not in repr(security) + repr(KafkaSettings()) + str(KafkaSettings())


def test_names_are_verified(monkeypatch):
    """Kafka's context and Redis's arguments demand certificate and host name."""
    setting(monkeypatch, LOGIN)
    context = kafka_security()["ssl_context"]
    assert (context.check_hostname, context.verify_mode.name) == (True, "CERT_REQUIRED")
    found = redis_security("rediss://h/0")
    assert (found["ssl_check_hostname"], found["ssl_cert_reqs"]) == (True, "required")
