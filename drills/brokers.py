"""Kafka as drills need it: a cluster of three brokers, or one behind a proxy."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from genrestream.ops import kafka, process
from genrestream.ops.java import find_java
from genrestream.ops.kafka_classes import jvm_options
from genrestream.ops.kafka_jars import class_path
from genrestream.ops.ports import HOST, Ports

READY_S = 120.0
HEAP = "-Xmx320m"


class Broker:
    """One broker, which is a controller as well."""

    def __init__(self, folder: Path, settings: dict[str, str], cluster_id: str) -> None:
        self._folder = folder
        self._java = find_java()
        self._config = folder / "server.properties"
        folder.mkdir(parents=True)
        self._config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        self._run("kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._config)).wait(60)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; `Brokers.wait_in_sync` tells when it takes part."""
        self._process = self._run("kafka.Kafka", str(self._config))

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _run(self, *arguments: str) -> subprocess.Popen[bytes]:
        options = [option for option in kafka.JVM_OPTIONS if not option.startswith("-Xmx")]
        command = [str(self._java), *options, HEAP, *jvm_options(self._java), "-cp", class_path(), *arguments]
        return process.spawn(command, env={}, cwd=self._folder, log=self._folder / "kafka.log")


class Brokers:
    """A cluster; `bootstrap` names all of it."""

    def __init__(self, folder: Path, count: int, proxied_at: int | None = None) -> None:
        """With `proxied_at`, the first broker says that it is to be reached at that port too, and listens for
        what comes from there at `behind_proxy`.
        """
        ports = Ports(usual=False)
        clients = [ports.choose() for _ in range(count)]
        controllers = [ports.choose() for _ in range(count)]
        self.behind_proxy = ports.choose()
        self.bootstrap = ",".join(f"{HOST}:{port}" for port in clients)
        voters = ",".join(f"{node}@{HOST}:{port}" for node, port in enumerate(controllers, 1))
        cluster_id = process_uuid()
        self.members = [
            Broker(
                folder / str(node),
                kafka.properties(folder / str(node) / "data", client, controller)
                | {"node.id": str(node), "controller.quorum.voters": voters}
                | _replicated(min(3, count))
                | _proxied(client, controller, self.behind_proxy, proxied_at if node == 1 else None),
                cluster_id,
            )
            for node, (client, controller) in enumerate(zip(clients, controllers, strict=True), 1)
        ]

    def wait_in_sync(self) -> None:
        """Return once every broker is there and holds its replicas."""
        give_up_s = time.monotonic() + READY_S
        while not self._in_sync():
            if time.monotonic() > give_up_s:
                raise RuntimeError(f"the cluster at {self.bootstrap} is not in sync after {READY_S:g} s")
            time.sleep(0.3)

    def _in_sync(self) -> bool:
        if not kafka.answers(self.bootstrap):
            return False
        try:
            admin = KafkaAdminClient(bootstrap_servers=self.bootstrap.split(","), request_timeout_ms=5000)
            try:
                if len(admin.describe_cluster()["brokers"]) < len(self.members):
                    return False
                partitions = [part for topic in admin.describe_topics() for part in topic["partitions"]]
                return all(len(part["isr_nodes"]) == len(part["replica_nodes"]) for part in partitions)
            finally:
                admin.close()
        except (KafkaError, OSError):
            return False


@contextlib.contextmanager
def brokers(folder: Path, count: int, proxied_at: int | None = None) -> Iterator[Brokers]:
    """A running cluster for as long as the block lasts."""
    cluster = Brokers(folder, count, proxied_at)
    try:
        for broker in cluster.members:
            broker.start()
        cluster.wait_in_sync()
        yield cluster
    finally:
        for broker in cluster.members:
            broker.kill()


def process_uuid() -> str:
    """A cluster id as Kafka prints them."""
    return kafka._random_uuid()  # noqa: SLF001 - the stack's own


def _replicated(replicas: int) -> dict[str, str]:
    in_sync = str(max(1, replicas - 1))
    return {
        "offsets.topic.replication.factor": str(replicas),
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": str(replicas),
        "share.coordinator.state.topic.min.isr": in_sync,
        "default.replication.factor": str(replicas),
        "min.insync.replicas": in_sync,
        # A dead broker is noticed after 9 s by default.
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "1000",
    }


def _proxied(client: int, controller: int, behind: int, proxied_at: int | None) -> dict[str, str]:
    if proxied_at is None:
        return {}
    return {
        "listeners": f"PLAINTEXT://{HOST}:{client},PROXIED://{HOST}:{behind},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{client},PROXIED://{HOST}:{proxied_at}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT",
    }
