"""Which dead letters were replayed: `catalog.dead-letter-replays`, the key is the letter's place.

A topic of its own, so that readers of the dead letters meet nothing but dead letters. It is kept twice as
long as they are, since a mark that went before its letter would open the letter again; it is not compacted,
since hardly any key is written twice.
"""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from genrestream.schemas.items import SCHEMA_VERSION


class DeadLetterReplay(BaseModel):
    """One dead letter was published again. Written once Kafka has the replay, so that none is lost."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = Field(default=SCHEMA_VERSION, ge=1)
    topic: str = Field(description="The input topic that the letter came from, to which it was replayed.")
    partition: int = Field(ge=0)
    offset: int = Field(ge=0, description="Where the letter's item stood.")
    first_offset: int = Field(ge=0, description="The offset that orders the item's versions.")
    replayed_to: int = Field(ge=0, description="The offset of the replay, in the same partition.")
    replayed_at: datetime = Field(description="When Kafka had taken the replay (UTC).")
