"""The keys of the label cache in Redis. Everything there can be rebuilt from `catalog.labels`."""

from genrestream.schemas.items import Kind

LABELS_TTL_S = 90 * 24 * 3600
"""How long a cached label record lives after its last write: 90 days."""

REMOVAL_TTL_S = 8 * 24 * 3600
"""How long a removal is remembered: longer than the input topics' 7 days, so that no replay undoes it."""


def labels_key(kind: Kind, item_id: str) -> str:
    """A hash, a field a task, whose value is the label record in JSON."""
    return f"labels:v1:{kind}:{item_id}"


def items_key(kind: Kind, task: str, label: str) -> str:
    """A sorted set of item ids, scored by confidence: the best items of a label."""
    return f"items:v1:{kind}:{task}:{label}"


def removal_key(kind: Kind, item_id: str) -> str:
    """A string, the item offset of the removal: what is not newer is not written."""
    return f"removed:v1:{kind}:{item_id}"
