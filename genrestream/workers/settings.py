"""The worker's settings: environment variables, read once, in the wiring only."""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, IPvAnyNetwork, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from genrestream.schemas import Kind
from genrestream.schemas.items import MAX_INLINE_MEDIA_BYTES
from genrestream.schemas.topics import MAX_ITEM_BYTES
from genrestream.workers.budget import DEFAULT_MEDIA_BYTES
from genrestream.workers.media_address import USUAL_PORTS


class WorkerSettings(BaseSettings):
    """`GENRESTREAM_<FIELD>` sets a field; the command line overrides."""

    model_config = SettingsConfigDict(env_prefix="GENRESTREAM_", extra="ignore")

    name: str = Field(
        default_factory=socket.gethostname,
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="Stable and unique a worker, as in a StatefulSet: the consumer group's static member.",
    )
    kinds: Annotated[tuple[Kind, ...], NoDecode] = Field(
        default=tuple(Kind), min_length=1, description="What the worker labels, separated by commas."
    )
    group: str = Field(default="genrestream", description="The consumer group that all workers share.")
    models: Path = Field(
        default=Path("triton_models"), description="The model repository that Triton serves."
    )
    http_host: str = Field(default="127.0.0.1", description="Address of metrics and health.")
    http_port: int = Field(
        default=9464, ge=0, le=65535, description="Port of metrics and health; 0: a free one."
    )

    media_root: Path | None = Field(default=None, description="file:// media are allowed under this folder.")
    media_buckets: Annotated[
        tuple[Annotated[str, Field(pattern=r"^(s3|gs)://[A-Za-z0-9._-]{1,222}$")], ...], NoDecode
    ] = Field(
        default=(),
        description="Buckets, separated by commas, that s3:// and gs:// media are read from, with the "
        "worker's own credentials, such as `s3://covers`. Strangers can then read all that these hold.",
    )
    max_media_bytes: int = Field(
        default=32 * 1024 * 1024, ge=MAX_INLINE_MEDIA_BYTES, description="One picture or recording."
    )
    media_timeout_s: float = Field(
        default=15.0, gt=0, description="For one attempt to fetch a picture or recording."
    )
    media_budget_s: float = Field(
        default=20.0,
        gt=0,
        description="For all attempts at one picture or recording over HTTP, and the waits between them.",
    )
    media_allowed_networks: Annotated[tuple[IPvAnyNetwork, ...], NoDecode] = Field(
        default=(),
        description="Networks, separated by commas, that http(s):// media may lead into besides the public "
        "internet, at any port, such as `10.1.2.0/24`. Strangers can then make requests there.",
    )
    media_ports: Annotated[tuple[Annotated[int, Field(ge=1, le=65535)], ...], NoDecode] = Field(
        default=USUAL_PORTS, min_length=1, description="Ports of http(s):// media on the public internet."
    )

    skip_done: bool = Field(
        default=True,
        description="Items that come again unchanged get their earlier labels, if the live releases made "
        "them; 0: every message is labelled anew.",
    )
    shared_embeddings: int = Field(
        default=20_000,
        ge=0,
        le=10_000_000,
        description="Embeddings of pictures and recordings kept in Redis for a day, at most 5 KiB each with "
        "the pretrained encoders; 0: none.",
    )

    feature_processes: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, le=256, description="Processes for feature work."
    )
    feature_memory_bytes: int = Field(
        default=2 * 1024**3,
        ge=1024**3,
        description="Address space of each; a medium that needs more is missing as `too_large`.",
    )
    item_deadline_s: float = Field(default=20.0, gt=0, description="For one item's feature work.")
    picture_readers: int = Field(
        default=0,
        ge=0,
        le=256,
        description="Processes that read the text in pictures of items that have none, where a live head "
        "knows such texts: some quarter of a second of a core each. Needs the extra `ocr`; 0: none is read.",
    )
    picture_reader_deadline_s: float = Field(
        default=5.0, gt=0, description="For one picture's text, waiting included; then the item goes on."
    )
    inference_deadline_s: float = Field(default=30.0, gt=0, description="For one request to Triton.")

    max_message_bytes: int = Field(
        default=MAX_ITEM_BYTES, ge=1024, description="A larger message is a dead letter."
    )
    max_in_flight_items: int = Field(default=384, ge=1, description="Messages worked on at the same time.")
    max_in_flight_bytes: int = Field(
        default=96 * 1024 * 1024,
        ge=MAX_ITEM_BYTES,
        description="The same, in bytes of messages: what is done and not committed yet keeps no content.",
    )
    max_media_bytes_in_flight: int = Field(
        default=DEFAULT_MEDIA_BYTES,
        ge=1024**2,
        description="Media read by reference whose items are not scored yet. Each counts 4 MiB while it is "
        "read: with the default, 64 are read at a time, and take 2 GiB if all are of 32 MiB.",
    )
    max_buffered_messages: int = Field(default=64, ge=1, description="Messages read ahead, a topic.")
    batch_items: int = Field(default=64, ge=1, le=256, description="The largest micro-batch.")
    batch_wait_s: float = Field(
        default=0.004, ge=0, description="How long a micro-batch gathers while none is in flight."
    )
    batch_busy_wait_s: float = Field(
        default=0.06, ge=0, description="And while one is, until none is: larger ones cost less an item."
    )
    batches_in_flight: int = Field(default=3, ge=1, description="Micro-batches at the same time, a kind.")

    session_timeout_s: float = Field(
        default=30.0, gt=0, le=300, description="A worker silent for so long loses its partitions."
    )
    commit_interval_s: float = Field(default=1.0, gt=0, description="How often offsets are committed.")
    rebalance_drain_s: float = Field(
        default=10.0, gt=0, description="For what is in flight when partitions are taken away."
    )
    drain_deadline_s: float = Field(
        default=20.0,
        gt=0,
        description="For what is in flight when asked to stop; the process ends at most 15 s after it.",
    )
    stuck_after_s: float = Field(
        default=300.0,
        gt=0,
        description="Liveness fails when a message is in flight for so long and no server is waited for.",
    )

    @field_validator("kinds", "media_buckets", "media_allowed_networks", "media_ports", mode="before")
    @classmethod
    def _separated(cls, values: Any) -> Any:
        if not isinstance(values, str):
            return values
        return [value.strip() for value in values.split(",") if value.strip()]

    @field_validator("models", "media_root")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.absolute()


DEFAULTS_IN_WORDS = {
    "name": "the host's name",
    "kinds": "`event,podcast,track`",
    "media_root": "none",
    "media_buckets": "none",
    "media_allowed_networks": "none",
    "media_ports": f"`{','.join(map(str, USUAL_PORTS))}`",
    "feature_processes": "one a core",
}

INTRODUCTION = """\
<!-- Generated by `python -m genrestream.workers.settings > docs/settings.md`: do not edit. -->
# Settings of a worker

Each is an environment variable; the options of `genrestream worker` win over them. Besides these,
`KAFKA_BOOTSTRAP`, `REDIS_URL` and `TRITON_URL` say where the servers are; without them a worker uses those of
`genrestream up`. [security.md](security.md) has the settings of TLS and logins. Names of hosts are looked up
with `RES_OPTIONS=timeout:2 attempts:2` (resolv.conf(5)), unless that variable is set.

| variable | default | meaning |
|---|---|---|
"""


def documentation() -> str:
    """The table of all settings, in Markdown."""
    return INTRODUCTION + "".join(_row(name, field) for name, field in WorkerSettings.model_fields.items())


def _row(name: str, field: FieldInfo) -> str:
    default = DEFAULTS_IN_WORDS.get(name) or f"`{field.default}`"
    return f"| `GENRESTREAM_{name.upper()}` | {default} | {field.description} |\n"


if __name__ == "__main__":
    sys.stdout.write(documentation())
