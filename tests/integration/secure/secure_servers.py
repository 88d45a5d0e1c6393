"""Kafka, Redis and Triton that demand TLS and a login, on loopback."""

import base64
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from genrestream.ops import kafka, redis, triton
from genrestream.ops.java import find_java
from genrestream.ops.kafka_classes import jvm_options
from genrestream.ops.kafka_jars import class_path
from genrestream.ops.ports import Ports
from genrestream.ops.process import last_lines
from tests.integration.secure.authority import Certificate

START_S = 120.0
STOP_S = 60.0

USERS = ("admin", "worker", "ingest", "recommender")


def password(user: str) -> str:
    """The user's; nothing else may show it."""
    return f"secret-of-{user}-1f8e"


@contextmanager
def running(
    argv: Sequence[str], cwd: Path, log: Path, ready: Callable[[], bool], env: dict[str, str] | None = None
) -> Iterator[None]:
    """The server from when it is ready; stopped after."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(env or {})},
        )
    try:
        give_up_s = time.monotonic() + START_S
        while not ready():
            shown = "\n".join(last_lines(log, 20))
            assert process.poll() is None, f"{argv[0]} ended:\n{shown}"
            assert time.monotonic() < give_up_s, f"{argv[0]} is not ready:\n{shown}"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def secure_kafka(folder: Path, certificate: Certificate, clients_ca: Path) -> Iterator[dict[str, int]]:
    """The ports by listener. Rights are by ACL; the broker itself, `admin` and client certificates have all.

    SECURE: TLS and SCRAM or PLAIN; LOGIN: SASL without TLS; MUTUAL: TLS with client
    certificates; PLAIN: neither.
    """
    ports = Ports(usual=False)
    names = ("PLAIN", "SECURE", "LOGIN", "MUTUAL", "CONTROLLER")
    found = {name: ports.choose() for name in names}
    data = folder / "data"
    data.mkdir(parents=True)
    protocols = {"PLAIN": "PLAINTEXT", "SECURE": "SASL_SSL", "LOGIN": "SASL_PLAINTEXT", "MUTUAL": "SSL"}
    jaas = "org.apache.kafka.common.security"
    plain_users = " ".join(f'user_{user}="{password(user)}"' for user in USERS)
    settings = kafka.properties(data, found["PLAIN"], found["CONTROLLER"]) | {
        "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in found.items()),
        "advertised.listeners": ",".join(f"{name}://127.0.0.1:{found[name]}" for name in protocols),
        "inter.broker.listener.name": "PLAIN",
        "listener.security.protocol.map": ",".join(
            f"{name}:{protocol}" for name, protocol in {**protocols, "CONTROLLER": "PLAINTEXT"}.items()
        ),
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(certificate.with_key()),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(clients_ca),
        "listener.name.mutual.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:admin;User:CN=client",
    }
    for listener in ("secure", "login"):
        prefix = f"listener.name.{listener}"
        for mechanism in ("scram-sha-256", "scram-sha-512"):
            settings[f"{prefix}.{mechanism}.sasl.jaas.config"] = f"{jaas}.scram.ScramLoginModule required;"
        settings[f"{prefix}.plain.sasl.jaas.config"] = (
            f"{jaas}.plain.PlainLoginModule required {plain_users};"
        )
    config = folder / "server.properties"
    config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    java = find_java()
    tool = [str(java), "-Xmx64m", *jvm_options(java), "-cp", class_path()]
    cluster = base64.urlsafe_b64encode(b"genrestream tls.").decode().rstrip("=")
    scram = [
        f"--add-scram=SCRAM-SHA-{bits}=[name={user},password={password(user)}]"
        for user in USERS
        for bits in (256, 512)
    ]
    done = subprocess.run(
        [*tool, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config), *scram],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    argv = [
        str(java),
        *kafka.JVM_OPTIONS,
        *jvm_options(java),
        "-cp",
        class_path(),
        "kafka.Kafka",
        str(config),
    ]
    bootstrap = f"127.0.0.1:{found['PLAIN']}"
    with running(argv, folder, folder / "kafka.log", lambda: kafka.answers(bootstrap)):
        yield found


@contextmanager
def redis_with_users(folder: Path, *rules: str) -> Iterator[int]:
    """The port of a Redis with these ACL lines; the default user is off."""
    folder.mkdir(parents=True)
    (folder / "users.acl").write_text("".join(f"user {rule}\n" for rule in ("default off", *rules)))
    port = Ports(usual=False).choose()
    program, _ = redis.find_program()
    options = {"bind": "127.0.0.1", "port": str(port), "dir": str(folder), "save": ""}
    options["aclfile"] = str(folder / "users.acl")
    argv = [str(program), *(part for name, value in options.items() for part in (f"--{name}", value))]
    url = f"redis://admin:{password('admin')}@127.0.0.1:{port}/0"
    with running(argv, folder, folder / "redis.log", lambda: redis.answers(url)):
        yield port


@contextmanager
def secure_triton(folder: Path, models: Path, certificate: Certificate) -> Iterator[int]:
    """The port of gRPC over TLS; models are loaded on request."""
    server = triton.server(folder, models, (), Ports(usual=False), f"tls{os.getpid()}")
    argv = [*server.argv, "--grpc-use-ssl=1"]
    argv += [f"--grpc-server-cert={certificate.certificate}", f"--grpc-server-key={certificate.key}"]
    with running(argv, server.cwd, server.log, server.ready, dict(server.env)):
        yield int(server.addresses["grpc"].rpartition(":")[2])
