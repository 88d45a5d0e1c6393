"""The keys of the label cache in Redis. Everything there can be rebuilt from `catalog.labels`."""

from genrestream.schemas.items import Kind

LABELS_TTL_S = 90 * 24 * 3600
"""How long a cached label record lives after its last write: 90 days."""

REMOVAL_TTL_S = 8 * 24 * 3600
"""How long a removal is remembered: longer than the input topics' 7 days, so that no replay undoes it."""

EMBEDDINGS_TTL_S = 24 * 3600
"""How long an embedding lives: a day. Labels have longer to live, but in their last day, so that an eviction
by `volatile-ttl` takes embeddings before them."""


def labels_key(kind: Kind, item_id: str) -> str:
    """A hash, a field a task, whose value is the label record in JSON."""
    return f"labels:v1:{kind}:{item_id}"


def items_prefix(kind: Kind) -> str:
    """What the keys of all label sets of a kind begin with."""
    return f"items:v1:{kind}:"


def items_key(kind: Kind, task: str, label: str) -> str:
    """A sorted set of item ids, scored by confidence: the best items of a label."""
    return f"{items_prefix(kind)}{task}:{label}"


def revisions_key(kind: Kind, item_id: str) -> str:
    """A hash, a field a task: `item_offset:release_sequence:[labels]` of the record that was written last.

    It is apart from the records, so that these stay plain JSON, and lives twice as long, so that an item
    whose record expired can be taken out of the sets of its labels.
    """
    return f"revisions:v1:{kind}:{item_id}"


def expiries_key(kind: Kind) -> str:
    """A sorted set of item ids, scored by the time (Unix seconds) at which their records expire."""
    return f"expiries:v1:{kind}"


def removal_key(kind: Kind, item_id: str) -> str:
    """A string, the item offset of the removal: what is not newer is not written."""
    return f"removed:v1:{kind}:{item_id}"


def embedding_key(model: str, version: int, sha256: str) -> str:
    """A string: float32 values, little-endian, of what an encoder's version makes of a medium's bytes."""
    return f"embeddings:v1:{model}:{version}:{sha256}"


EMBEDDINGS_KEPT_KEY = "embeddings-kept:v1"
"""A sorted set of the keys of all embeddings, by the time of writing (Unix seconds): it bounds them."""

FILLED_KEY = "filled:v1"
"""A hash, a field a partition of the label topic: the `run_id` of the Redis server to which all of that
partition was copied. Another run of the server may have lost what this one had."""
