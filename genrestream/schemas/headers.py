"""Kafka headers that are read and written besides the dead letters' own."""

ALL_SCORES = "genrestream-all-scores"
"""On an item, any value but `0`: the label record carries every label's confidence in `scores`."""

FIRST_OFFSET = "genrestream-first-offset"
"""On a replayed item: the offset that it had first, so that it never beats a newer version."""

REVISION = "genrestream-revision"
"""On a tombstone of `catalog.labels`: the removal's revision, `[item_offset,release_sequence]`."""

CONTENT_TYPE = b"application/json"

CLOUD_EVENTS_VERSION = b"1.0"
"""CloudEvents 1.0, Kafka protocol binding, binary mode: headers `ce_specversion`, `ce_id`, `ce_source`,
`ce_type`, `ce_time` and `content-type`."""

LABEL_EVENT_TYPE = "genrestream.labels.v1"
REMOVAL_EVENT_TYPE = "genrestream.removal.v1"
RELEASE_EVENT_TYPE = "genrestream.release.v1"
