"""The sample catalogue on disk: three sets in the format that training and publishing read."""

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from genrestream.sample.pictures import draw_picture
from genrestream.sample.plan import ItemPlan, plan_item
from genrestream.sample.recordings import record
from genrestream.sample.texts import write_texts
from genrestream.schemas import Kind, Modality
from genrestream.schemas.items import MEDIA_FIELDS

TASK = "genres"
_MEDIA_FOLDERS = {"poster": "posters", "cover": "covers", "audio": "audio"}
SET_NAMES: dict[Kind, str] = {kind: f"{kind}s" for kind in Kind}
MAX_ITEMS_PER_KIND = 100_000

_ITEMS_WITHOUT_POOL = 20
"""Fewer are made faster here than by processes that have to start first."""


def generate(directory: Path, items_per_kind: int, seed: int) -> None:
    """Write the sets `events`, `podcasts` and `tracks` below `directory`, the same ones for the same seed.

    Each set is a folder with `items.jsonl` (one item a line: its fields, media as paths relative to the
    folder, `labels` as `{"genres": [...]}`, `group`) and its media. The items are invented; their genres can
    be learnt from text, picture and sound, from none of them with certainty. `items.jsonl` is written last.

    Raises:
        ValueError: `items_per_kind` is not within 1..100,000, or `seed` is negative.
    """
    if not 1 <= items_per_kind <= MAX_ITEMS_PER_KIND:
        raise ValueError(f"items_per_kind is {items_per_kind}, not within 1..{MAX_ITEMS_PER_KIND}")
    if seed < 0:
        raise ValueError(f"seed is {seed}, not 0 or more")
    for kind, name in SET_NAMES.items():
        folder = directory / name
        for field in MEDIA_FIELDS[kind].values():
            (folder / _MEDIA_FOLDERS[field]).mkdir(parents=True, exist_ok=True)
        plans = [plan_item(kind, index, seed) for index in range(items_per_kind)]
        unfinished = folder / "items.jsonl.part"
        with unfinished.open("w", encoding="utf-8") as lines:
            for item in _made(plans, folder):
                lines.write(json.dumps(item, ensure_ascii=False, sort_keys=True) + "\n")
        unfinished.replace(folder / "items.jsonl")


def _made(plans: list[ItemPlan], folder: Path) -> Iterator[dict[str, Any]]:
    make = partial(make_item, folder=folder)
    if len(plans) < _ITEMS_WITHOUT_POOL:
        yield from map(make, plans)
        return
    # Spawned, not forked: the caller may have threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(_processors(), context, initializer=_follow_parent) as pool:
        yield from pool.map(make, plans, chunksize=8)


def _follow_parent() -> None:
    """In a process of the pool: leave Ctrl-C to the parent, and end when the parent was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _processors() -> int:
    return min(len(os.sched_getaffinity(0)), 8)


def make_item(plan: ItemPlan, folder: Path) -> dict[str, Any]:
    """The item's line of `items.jsonl`, with its media written below `folder`."""
    texts = write_texts(plan)
    item: dict[str, Any] = {"kind": plan.kind.value, "id": plan.item_id, **texts}
    for modality, field in MEDIA_FIELDS[plan.kind].items():
        item[field] = None
        if modality is Modality.IMAGE and plan.with_image:
            item[field] = _stored(folder, field, plan, *draw_picture(plan, texts["title"]))
        if modality is Modality.AUDIO and plan.with_audio:
            item[field] = _stored(folder, field, plan, *record(plan))
    return {**item, "labels": {TASK: list(plan.genres)}, "group": plan.group}


def _stored(folder: Path, field: str, plan: ItemPlan, suffix: str, data: bytes) -> str:
    """The path, relative to the set's folder, at which `data` now lies."""
    path = f"{_MEDIA_FOLDERS[field]}/{plan.item_id}{suffix}"
    (folder / path).write_bytes(data)
    return path
