"""The worker's settings: environment variables, read once, in the wiring only."""

import os
import socket
from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from genrestream.schemas import Kind
from genrestream.schemas.items import MAX_INLINE_MEDIA_BYTES
from genrestream.schemas.topics import MAX_ITEM_BYTES


class WorkerSettings(BaseSettings):
    """`GENRESTREAM_<FIELD>` sets a field; the command line overrides."""

    model_config = SettingsConfigDict(env_prefix="GENRESTREAM_", extra="ignore")

    name: str = Field(
        default_factory=socket.gethostname,
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="Stable and unique a worker, as in a StatefulSet: the consumer group's static member.",
    )
    kinds: tuple[Kind, ...] = tuple(Kind)
    group: str = Field(default="genrestream", description="The consumer group that all workers share.")
    models: Path = Path("triton_models")
    http_host: str = "127.0.0.1"
    http_port: int = Field(
        default=9464, ge=0, le=65535, description="Metrics and health; 0 takes a free one."
    )

    media_root: Path | None = Field(default=None, description="file:// media are allowed under this folder.")
    max_media_bytes: int = Field(default=32 * 1024 * 1024, ge=MAX_INLINE_MEDIA_BYTES)
    media_timeout_s: float = Field(
        default=15.0, gt=0, description="For one picture or recording, retries and all."
    )

    feature_processes: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=1, le=256)
    item_deadline_s: float = Field(default=20.0, gt=0, description="For one item's feature work.")
    inference_deadline_s: float = Field(default=30.0, gt=0, description="For one request to Triton.")

    max_message_bytes: int = Field(default=MAX_ITEM_BYTES, ge=1024)
    max_in_flight_items: int = Field(default=384, ge=1)
    max_in_flight_bytes: int = Field(default=96 * 1024 * 1024, ge=MAX_ITEM_BYTES)
    max_buffered_messages: int = Field(default=64, ge=1, description="Messages a topic read ahead by Faust.")
    batch_items: int = Field(default=32, ge=1, le=256)
    batch_wait_s: float = Field(default=0.004, ge=0)
    batches_in_flight: int = Field(default=3, ge=1, description="Micro-batches a kind.")

    session_timeout_s: float = Field(default=30.0, gt=0)
    commit_interval_s: float = Field(default=1.0, gt=0)
    drain_deadline_s: float = Field(
        default=20.0, gt=0, description="For what is in flight when asked to stop."
    )

    @field_validator("models", "media_root")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else path.absolute()
