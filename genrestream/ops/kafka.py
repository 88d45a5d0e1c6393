"""Apache Kafka in KRaft mode: one process that is broker and controller."""

import base64
import contextlib
import logging
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from genrestream.ops.errors import StackError
from genrestream.ops.java import find_java
from genrestream.ops.kafka_classes import jvm_options
from genrestream.ops.kafka_jars import KAFKA_VERSION, class_path
from genrestream.ops.ports import HOST, Ports, accepts_connections
from genrestream.ops.process import last_lines
from genrestream.ops.server import Server

USUAL_PORT = 9092
FORMAT_TIMEOUT_S = 60
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
"""Above the largest `max.message.bytes` of a topic."""

JVM_OPTIONS = (
    # All of it from the start: a heap that may grow does so for hours before anything is collected, and
    # nobody could tell that from a leak.
    "-Xms256m",
    "-Xmx256m",
    "-XX:+AlwaysPreTouch",
    "-XX:+UseSerialGC",
    # Direct buffers are kept by each network thread for as long as its largest message was.
    "-XX:MaxDirectMemorySize=128m",
    "-XX:-UsePerfData",
    # On a machine that a worker and its models share, the second compiler costs more than its code saves:
    # a broker of a local stack took half the processor time without it.
    "-XX:TieredStopAtLevel=1",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
)


def properties(data: Path, port: int, controller_port: int) -> dict[str, str]:
    """The settings of `server.properties`."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{HOST}:{controller_port}",
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        # One broker holds every replica.
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        # The first worker need not wait for others.
        "group.initial.rebalance.delay.ms": "0",
        # A mistyped topic is an error, not a new topic.
        "auto.create.topics.enable": "false",
        "message.max.bytes": str(MAX_MESSAGE_BYTES),
        "replica.fetch.max.bytes": str(MAX_MESSAGE_BYTES),
        # 128 MiB by default, a quarter of this heap; enough here for 170,000 keys a pass.
        "log.cleaner.dedupe.buffer.size": str(4 * 1024 * 1024),
    }


def answers(bootstrap: str, timeout_ms: int = 3_000, security: Mapping[str, Any] | None = None) -> bool:
    """Whether a broker gives the cluster's metadata, with a broker in it.

    `security` holds the client's arguments of that kind.
    """
    first = bootstrap.split(",", maxsplit=1)[0]
    host, _, port = first.rpartition(":")
    # Asked before the client, which would log every refused attempt.
    if not port.isdigit() or not accepts_connections(host, int(port)):
        return False
    with _quiet():
        try:
            admin = KafkaAdminClient(
                bootstrap_servers=bootstrap.split(","),
                bootstrap_timeout_ms=timeout_ms,
                request_timeout_ms=timeout_ms,
                **(security or {}),
            )
        except (KafkaError, OSError, ValueError):
            return False
        try:
            return bool(admin.describe_cluster()["brokers"])
        except (KafkaError, OSError):
            return False
        finally:
            admin.close()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("kafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _format(java: Path, classes: str, config: Path, data: Path, log: Path) -> None:
    """Lays out an empty data folder; one that is laid out stays as it is.

    Raises `StackError` when Kafka refuses.
    """
    if (data / "meta.properties").is_file():
        return
    options = ("-Xmx64m", "-XX:+UseSerialGC", *jvm_options(java))
    tool = [str(java), *options, "-cp", classes]
    log.parent.mkdir(parents=True, exist_ok=True)
    # 16 bytes in URL-safe base64 without padding, as Kafka's own random-uuid prints them.
    cluster_id = _random_uuid()
    try:
        with log.open("ab") as output:
            done = subprocess.run(
                [*tool, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=FORMAT_TIMEOUT_S,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StackError(f"Kafka cannot lay out {data}: {error}") from error
    if done.returncode != 0:
        shown = "\n".join(f"  {line}" for line in last_lines(log))
        raise StackError(f"Kafka cannot lay out {data}; the end of {log}:\n{shown}")


def _random_uuid() -> str:
    # A leading "-" would read as an option.
    while (text := base64.urlsafe_b64encode(os.urandom(16)).decode().rstrip("=")).startswith("-"):
        pass
    return text


def server(directory: Path, ports: Ports) -> Server:
    """Kafka with its data under `directory/kafka`, laid out when this returns."""
    java, classes = find_java(), class_path()
    folder = directory / "kafka"
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    port, controller_port = ports.choose(USUAL_PORT), ports.choose()
    config = folder / "server.properties"
    lines = [f"{name}={value}\n" for name, value in properties(data, port, controller_port).items()]
    config.write_text("".join(lines), encoding="utf-8")
    log = directory / "logs" / "kafka.log"
    _format(java, classes, config, data, log)
    bootstrap = f"{HOST}:{port}"
    return Server(
        name="kafka",
        title=f"Apache Kafka {KAFKA_VERSION}",
        argv=(str(java), *JVM_OPTIONS, *jvm_options(java), "-cp", classes, "kafka.Kafka", str(config)),
        cwd=folder,
        log=log,
        addresses={"bootstrap": bootstrap},
        ready=lambda: answers(bootstrap),
        start_timeout_s=90.0,
    )
