"""Which of two records about the same item and task is newer."""

from typing import NamedTuple


class Revision(NamedTuple):
    """The pair that orders all label records of one item and task; tuples compare as wanted.

    A newer version of the item beats an older one; on the same version, a newer announcement
    beats an older one (a rollback is a new announcement).
    """

    item_offset: int
    """Offset of the item in its input topic: the first one, when it was replayed."""
    release_sequence: int
    """Offset of the release's announcement in `catalog.releases`."""
