"""What the demo publishes, in which order: good items of all kinds in turn, broken ones among them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from genrestream.client.items import ItemError, MediaForm, build_item
from genrestream.client.publisher import item_message
from genrestream.demo.bad_items import Planned
from genrestream.demo.errors import DemoError
from genrestream.demo.journal import Expected
from genrestream.schemas import Kind


@dataclass(frozen=True, slots=True)
class ItemSet:
    """A catalogue set to be published and judged."""

    items_file: Path
    kind: Kind
    source_task: str
    """The key in `labels`."""
    served_task: str
    """The task that learnt it."""


def read_set(item_set: ItemSet) -> list[Planned]:
    """The items of a set. Pictures travel inline, recordings as references that the worker reads.

    Raises:
        DemoError: the file cannot be read or a line is no item.
    """
    folder = item_set.items_file.parent
    media = MediaForm.FILE if item_set.kind is Kind.TRACK else MediaForm.AUTO
    try:
        lines = item_set.items_file.read_bytes().splitlines()
        return [_planned(orjson.loads(line), folder, media, item_set) for line in lines if line.strip()]
    except (OSError, ItemError, orjson.JSONDecodeError) as error:
        raise DemoError(f"{item_set.items_file}: {error}") from error


def _planned(fields: dict[str, Any], folder: Path, media: MediaForm, item_set: ItemSet) -> Planned:
    item = build_item(fields, folder, media, item_set.kind)
    truth = frozenset(fields.get("labels", {}).get(item_set.source_task, ()))
    expected = Expected(
        kind=item_set.kind,
        item_id=item.id,
        name=item.title or item.id,
        task=item_set.served_task if truth else None,
        truth=truth,
    )
    return Planned(item_message(item), expected)


def in_turn(sets: Sequence[Sequence[Planned]]) -> list[Planned]:
    """All items, those of each set spread evenly from the first to the last."""
    placed = [
        ((place + 0.5) / len(items), order, item)
        for order, items in enumerate(sets)
        for place, item in enumerate(items)
    ]
    return [item for _, _, item in sorted(placed, key=lambda entry: entry[:2])]


def limited(items: Sequence[Planned], limit: int) -> list[Planned]:
    """At most `limit` items."""
    return list(itertools.islice(items, limit))
