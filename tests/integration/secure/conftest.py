"""Servers that demand TLS and a login, whose users have the rights that the documentation names."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
)
from redis import Redis

from genrestream.workers.topics import create_topics
from tests.integration.secure.authority import Authority, Certificate
from tests.integration.secure.secure_servers import (
    USERS,
    password,
    redis_with_users,
    secure_kafka,
    secure_triton,
)
from tests.integration.secure.tls_proxy import tls_proxy

DOCUMENT = Path(__file__).parents[3] / "docs" / "security.md"
RIGHT = re.compile(r"^\| (worker|ingest|recommender) \| (Topic|Group) \| `(\S+)` \| (.+) \|$", re.MULTILINE)
REDIS_USER = re.compile(r"^user ((worker|recommender) on >PASSWORD .+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Secure:
    """The servers, their authority and another one that did not issue their certificates."""

    folder: Path
    authority: Authority
    other: Authority
    expired: Certificate
    client: Certificate
    kafka: dict[str, int]
    redis: int
    redis_plain: int
    triton: int

    def environment(self, user: str, **changes: str) -> dict[str, str]:
        """The variables of a user, with changes; none of this process's own settings."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "REDIS_"))}
        ca = str(self.authority.ca)
        found = {
            "KAFKA_BOOTSTRAP": f"127.0.0.1:{self.kafka['SECURE']}",
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": password(user),
            "KAFKA_SSL_CA_FILE": ca,
            "REDIS_URL": f"rediss://{user}:{password(user)}@127.0.0.1:{self.redis}/0",
            "REDIS_CA_FILE": ca,
            "TRITON_URL": f"127.0.0.1:{self.triton}",
            "TRITON_CA_FILE": ca,
        }
        return {**own, **found, **changes}

    def redis_refusals(self) -> list[dict[str, Any]]:
        """What Redis has refused its users for want of rights, also within scripts."""
        url = self.environment("admin")["REDIS_URL"]
        with Redis.from_url(url, ssl_ca_certs=str(self.authority.ca)) as redis:
            entries: list[dict[str, Any]] = redis.acl_log()
        return [entry for entry in entries if entry["reason"] != "auth"]

    def run(self, user: str, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """`genrestream` with these arguments, to its end; no password may show."""
        done = subprocess.run(
            [sys.executable, "-m", "genrestream", *arguments],
            env=self.environment(user, **changes),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert not any(password(one) in done.stdout + done.stderr for one in USERS)
        return done


@pytest.fixture(scope="session")
def secure(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Secure]:
    """Servers with topics, users and their rights."""
    folder = tmp_path_factory.mktemp("secure")
    authority, other = Authority(folder / "authority"), Authority(folder / "other")
    certificate = authority.issue("server", "IP:127.0.0.1")
    rules = [
        rule.replace("PASSWORD", password(user)) for rule, user in REDIS_USER.findall(DOCUMENT.read_text())
    ]
    with ExitStack() as stack:
        ports = stack.enter_context(secure_kafka(folder / "kafka", certificate, authority.ca))
        admin = f"admin on >{password('admin')} ~* +@all"
        redis = stack.enter_context(redis_with_users(folder / "redis", admin, *rules))
        triton = stack.enter_context(secure_triton(folder / "triton", models_dir, certificate))
        plain = f"127.0.0.1:{ports['PLAIN']}"
        create_topics(plain)
        _grant(plain)
        yield Secure(
            folder=folder,
            authority=authority,
            other=other,
            expired=authority.issue("expired", "IP:127.0.0.1", expired=True),
            client=authority.issue("client", "DNS:client"),
            kafka=ports,
            redis=stack.enter_context(tls_proxy(redis, certificate)),
            redis_plain=redis,
            triton=triton,
        )


def _grant(bootstrap: str) -> None:
    """Exactly what the documentation's table says."""
    rights = [
        ACL(
            principal=f"User:{user}",
            host="*",
            operation=ACLOperation[operation.strip().upper()],
            permission_type=ACLPermissionType.ALLOW,
            resource_pattern=ResourcePattern(ResourceType[resource.upper()], name),
        )
        for user, resource, name, operations in RIGHT.findall(DOCUMENT.read_text())
        for operation in operations.split(",")
    ]
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        admin.create_acls(rights)
    finally:
        admin.close()
