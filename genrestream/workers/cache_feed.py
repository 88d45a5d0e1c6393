"""One message of `catalog.labels` into the label cache."""

import logging

from aiokafka import ConsumerRecord
from pydantic import TypeAdapter

from genrestream.schemas.headers import REVISION
from genrestream.schemas.items import Kind
from genrestream.schemas.labels import LabelRecord
from genrestream.schemas.revision import Revision
from genrestream.workers.cache import RedisCache
from genrestream.workers.protocols import CacheOutcome

log = logging.getLogger(__name__)

_REVISION = TypeAdapter(Revision)


async def feed(cache: RedisCache, message: ConsumerRecord) -> CacheOutcome:
    """Write the label record, or remove what the tombstone names; compare-and-set keeps what is newer."""
    try:
        if message.value is None:
            kind, item_id = _item_of(message.key or b"")
            return await cache.remove(kind, item_id, _item_offset(message))
        return await cache.write(LabelRecord.model_validate_json(message.value), message.value)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        log.warning(
            "%s/%d@%d is no label record: %s", message.topic, message.partition, message.offset, reason
        )
        return CacheOutcome.UNREADABLE


def _item_of(key: bytes) -> tuple[Kind, str]:
    """Kind and id of a key `kind:id:task`; the id may hold colons."""
    kind, _, rest = key.decode().partition(":")
    item_id, _, task = rest.rpartition(":")
    if not item_id or not task:
        raise ValueError(f"{key!r} is no key kind:id:task")
    return Kind(kind), item_id


def _item_offset(message: ConsumerRecord) -> int:
    """The offset that the removal had in its input topic."""
    revision = dict(message.headers).get(REVISION)
    if revision is None:
        raise ValueError(f"a removal without the header {REVISION}")
    return _REVISION.validate_json(revision).item_offset
