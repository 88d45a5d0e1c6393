"""Connections to servers that demand TLS and a login: what is wrong is refused with one line that says it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from genrestream.ops.worker_process import WorkerProcess
from tests.integration.secure.conftest import Secure
from tests.integration.secure.secure_servers import password
from tests.integration.secure.tls_proxy import tls_proxy
from tests.this_machine import needs_localhost

ITEM = (
    "publish",
    "podcast",
    "--id",
    "secure-1",
    "--title",
    "Deep Space",
    "--description",
    "Rockets and moons.",
)
WRONG_LOGIN = "not-this"
MODELS = str(Path(__file__).parents[3] / "triton_models")
COMMANDS = {
    "publish": ("ingest", ITEM),
    "labels": ("recommender", ("labels",)),
    "topics": ("admin", ("topics", "create")),
    "worker": ("worker", ("worker", "--http-port", "0")),
    "announce": ("admin", ("announce", "--models", MODELS)),
}


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"])
def test_users_log_in_to_kafka(secure: Secure, mechanism: str) -> None:
    """Each mechanism works, through aiokafka (labels) and through kafka-python (topics)."""
    for arguments in (("topics", "create"), ("labels",)):
        done = secure.run("admin", *arguments, KAFKA_SASL_MECHANISM=mechanism)
        assert done.returncode == 0, done.stderr


def test_a_client_certificate_is_shown_to_kafka(secure: Secure) -> None:
    """A listener that asks for a client's certificate takes ours, and none without one."""
    listener = {
        "KAFKA_BOOTSTRAP": f"127.0.0.1:{secure.kafka['MUTUAL']}",
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SASL_MECHANISM": "",
        "KAFKA_SASL_USERNAME": "",
        "KAFKA_SASL_PASSWORD": "",
    }
    files = {
        "KAFKA_SSL_CERT_FILE": str(secure.client.certificate),
        "KAFKA_SSL_KEY_FILE": str(secure.client.key),
    }
    shown = secure.run("admin", "labels", **listener, **files)
    assert shown.returncode == 0, shown.stderr
    refused = secure.run("admin", "labels", **listener)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert "refuses the connection" in refused.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_password_for_kafka_ends_a_command(secure: Secure, command: str) -> None:
    """One line names the user; it is not taken for a broker that is away."""
    user, arguments = COMMANDS[command]
    done = secure.run(user, *arguments, KAFKA_SASL_PASSWORD=WRONG_LOGIN)
    assert done.returncode == 1
    assert f"the login of user {user} by SCRAM-SHA-512 failed" in done.stderr.splitlines()[-1]
    assert WRONG_LOGIN not in done.stderr


def cases(wrong: Iterable[str]) -> list[Any]:
    """Each of them; the wrong name for a server is localhost."""
    return [pytest.param(each, marks=needs_localhost if each == "name" else ()) for each in wrong]


WRONG_TLS = {
    "authority": "its certificate is not trusted: unable to get local issuer certificate",
    "name": "its certificate is not trusted: Hostname mismatch, certificate is not valid for 'localhost'",
    "expired": "its certificate is not trusted: certificate has expired",
    "plain": "it speaks TLS, and this client does not",
    "away": "no Kafka broker answers at",
}


@pytest.mark.parametrize("wrong", cases(WRONG_TLS))
def test_kafka_is_verified(secure: Secure, wrong: str) -> None:
    """Another authority or host's name, an expired certificate, no TLS: each is told from the others."""
    with tls_proxy(secure.kafka["PLAIN"], secure.expired) as expired:
        changes = {
            "authority": {"KAFKA_SSL_CA_FILE": str(secure.other.ca)},
            "name": {"KAFKA_BOOTSTRAP": f"localhost:{secure.kafka['SECURE']}"},
            "expired": {"KAFKA_BOOTSTRAP": f"127.0.0.1:{expired}"},
            "plain": {
                **dict.fromkeys(("KAFKA_SECURITY_PROTOCOL", "KAFKA_SSL_CA_FILE", "KAFKA_SASL_MECHANISM"), ""),
                **dict.fromkeys(("KAFKA_SASL_USERNAME", "KAFKA_SASL_PASSWORD"), ""),
            },
            "away": {"KAFKA_BOOTSTRAP": "127.0.0.1:1"},
        }[wrong]
        for user, arguments in (("ingest", ITEM), ("recommender", ("labels",))):
            done = secure.run(user, *arguments, **changes)
            assert (done.returncode, len(done.stderr.splitlines())) == (1, 1), done.stderr
            assert WRONG_TLS[wrong] in done.stderr


REDIS_WRONG = {
    "password": "invalid username-password pair",
    "authority": "unable to get local issuer certificate",
    "name": "Hostname mismatch",
    "expired": "certificate has expired",
}


@pytest.mark.parametrize("wrong", cases(REDIS_WRONG))
@pytest.mark.parametrize("arguments", [("lookup", "podcast", "x"), ("worker", "--http-port", "0")])
def test_redis_is_verified(secure: Secure, wrong: str, arguments: tuple[str, ...]) -> None:
    """Reading labels and a worker's start end with one line that says what Redis's side is not."""
    with tls_proxy(secure.redis_plain, secure.expired) as expired:
        login = f"worker:{password('worker')}"
        changes = {
            "password": {"REDIS_URL": f"rediss://worker:wrong@127.0.0.1:{secure.redis}/0"},
            "authority": {"REDIS_CA_FILE": str(secure.other.ca)},
            "name": {"REDIS_URL": f"rediss://{login}@localhost:{secure.redis}/0"},
            "expired": {"REDIS_URL": f"rediss://{login}@127.0.0.1:{expired}/0"},
        }[wrong]
        done = secure.run("worker", *arguments, **changes)
    assert done.returncode == 1
    assert REDIS_WRONG[wrong] in done.stderr.splitlines()[-1]


def test_a_client_certificate_is_shown_to_redis(secure: Secure) -> None:
    """Where Redis asks for a client's certificate, ours is taken: the answer is that there are no labels."""
    certificate = secure.authority.issue("mutual", "IP:127.0.0.1")
    with tls_proxy(secure.redis_plain, certificate, clients_ca=secure.authority.ca) as port:
        url = f"rediss://recommender:{password('recommender')}@127.0.0.1:{port}/0"
        files = {
            "REDIS_CERT_FILE": str(secure.client.certificate),
            "REDIS_KEY_FILE": str(secure.client.key),
        }
        shown = secure.run("recommender", "lookup", "podcast", "nobody", REDIS_URL=url, **files)
        refused = secure.run("recommender", "lookup", "podcast", "nobody", REDIS_URL=url)
    assert "no labels of podcast 'nobody' in Redis" in shown.stderr
    assert refused.returncode == 1
    assert "no labels" not in refused.stderr


TRITON_WRONG = {name: text for name, text in WRONG_TLS.items() if name != "away"}


@pytest.mark.parametrize("wrong", cases(TRITON_WRONG))
@pytest.mark.parametrize("arguments", [("announce",), ("worker", "--http-port", "0")])
def test_triton_is_verified(secure: Secure, wrong: str, arguments: tuple[str, ...], models_dir) -> None:
    """Announcing and a worker's start end with one line that says what is wrong with Triton's side."""
    with tls_proxy(secure.triton, secure.expired) as expired:
        changes = {
            "authority": {"TRITON_CA_FILE": str(secure.other.ca)},
            "name": {"TRITON_URL": f"localhost:{secure.triton}"},
            "expired": {"TRITON_URL": f"127.0.0.1:{expired}"},
            "plain": {"TRITON_CA_FILE": ""},
        }[wrong]
        done = secure.run("admin", *arguments, "--models", str(models_dir), **changes)
    assert done.returncode == 1
    assert TRITON_WRONG[wrong] in done.stderr.splitlines()[-1]


def test_an_item_is_labelled_with_the_documented_rights(secure: Secure, models_dir, tmp_path) -> None:
    """A worker, an ingest team and a recommender, each with its documented rights only, on TLS throughout."""
    announced = secure.run("admin", "announce", "--models", str(models_dir))
    assert announced.returncode == 0, announced.stderr
    environment = secure.environment("worker")
    worker = WorkerProcess("secure", tmp_path / "worker.log", environment, ("--models", str(models_dir)))
    worker.start()
    Image.new("RGB", (64, 64), "navy").save(tmp_path / "cover.png")
    try:
        worker.wait_ready()
        published = secure.run("ingest", *ITEM, "--cover", str(tmp_path / "cover.png"), "--media", "inline")
        assert published.returncode == 0, published.stderr
        followed = secure.run(
            "recommender", "labels", "--follow", "--from-beginning", "--limit", "1", "--json"
        )
        assert '"id":"secure-1"' in followed.stdout, followed.stderr
        found = _until_found(secure)
        assert '"id":"secure-1"' in found
    finally:
        worker.stop()
    log = worker.log.read_text()
    assert password("worker") not in log
    assert "AuthorizationFailed" not in log
    assert "NOPERM" not in log
    assert "when its session ends" not in log, "leaving the group was refused"
    denied = [entry for entry in secure.redis_refusals() if entry["username"] in ("worker", "recommender")]
    assert denied == []


def _until_found(secure: Secure) -> str:
    """Redis follows the label topic."""
    for _ in range(60):
        done = secure.run("recommender", "lookup", "podcast", "secure-1", "--json")
        if done.returncode == 0:
            return done.stdout
        assert "no labels of podcast" in done.stderr, done.stderr
    raise AssertionError("the item does not come to Redis")
