"""Catalogue sets: folders with `items.jsonl`, an item a line, media as paths relative to the folder.

Besides the item's own fields a line holds `labels`, `{task: [label, ...]}`, and `group`: items of one
group (artist, producer, film) are never split between training and test.
"""

import hashlib
import json
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import ValidationError

from genrestream.schemas.items import (
    MEDIA_FIELDS,
    InlineMedia,
    Item,
    Kind,
    Modality,
    item_model,
    media_of,
    text_fields_of,
)
from genrestream.training.errors import TrainingError
from genrestream.workers.features.content import Content

ITEMS_FILE = "items.jsonl"
MAX_LINE_BYTES = 4 * 1024 * 1024
"""A longer line is an error: inline media of 1 MiB in base64 and the texts fit twice."""
MAX_MEDIA_BYTES = 64 * 1024 * 1024
"""A larger file is not read; the item is trained without it."""
MAX_LABELS_PER_ITEM = 1_000
MAX_LABEL_CHARS = 200


@dataclass(frozen=True, slots=True)
class Example:
    """An item with its labels for one task."""

    item: Item
    labels: tuple[str, ...]
    group: str
    folder: Path
    """What relative media paths start from."""

    @property
    def key(self) -> str:
        """What names the item in a split: the set's folder and the id."""
        return f"{self.folder.name}/{self.item.id}"


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All labelled items of some sets, for one kind and task."""

    kind: Kind
    task: str
    examples: tuple[Example, ...]
    items_of_set: dict[str, int]
    """Labelled items by the set's name."""
    unlabelled: int
    """Items that have no label for the task; they are left out."""

    def modalities(self) -> Counter[Modality]:
        """How many items name content of each modality."""
        return Counter(modality for example in self.examples for modality in named_modalities(example.item))


def read_catalogue(folders: Sequence[Path], kind: Kind, task: str) -> Catalogue:
    """The labelled items of the sets, in the order of the files.

    Raises:
        TrainingError: a set cannot be read, a line is wrong (named by file and line), an id stands twice,
            or no item of the kind has labels for the task.
    """
    examples: list[Example] = []
    items_of_set: dict[str, int] = {}
    tasks: Counter[str] = Counter()
    kinds: Counter[Kind] = Counter()
    unlabelled = 0
    for folder in folders:
        if folder.name in items_of_set:
            raise TrainingError(f"two sets are called {folder.name}")
        found = 0
        for line in _read_set(folder):
            kinds[line.item.kind] += 1
            if line.item.kind != kind:
                continue
            tasks.update(name for name, labels in line.labels.items() if labels)
            if labels := line.labels.get(task):
                examples.append(Example(line.item, labels, line.group, folder))
                found += 1
            else:
                unlabelled += 1
        items_of_set[folder.name] = found
    names = ", ".join(str(folder) for folder in folders)
    if not kinds[kind]:
        there = ", ".join(f"{count} of kind {name}" for name, count in kinds.items()) or "no items"
        raise TrainingError(f"no items of kind {kind} in {names}: found {there}")
    if not examples:
        known = ", ".join(sorted(tasks)) or "none"
        raise TrainingError(f"no item in {names} has labels for the task {task}; tasks there: {known}")
    return Catalogue(kind, task, tuple(examples), items_of_set, unlabelled)


@dataclass(frozen=True, slots=True)
class _Line:
    item: Item
    labels: dict[str, tuple[str, ...]]
    group: str


def _read_set(folder: Path) -> Iterator[_Line]:
    path = folder / ITEMS_FILE
    if not path.is_file():
        raise TrainingError(f"no catalogue set at {folder}: {ITEMS_FILE} is missing")
    lines_of_id: dict[tuple[Kind, str], int] = {}
    try:
        with path.open("rb") as file:
            number = 0
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > MAX_LINE_BYTES:
                    raise TrainingError(f"{path}:{number}: longer than {MAX_LINE_BYTES} bytes")
                if not raw.strip():
                    continue
                line = _parse(raw, f"{path}:{number}")
                first = lines_of_id.setdefault((line.item.kind, line.item.id), number)
                if first != number:
                    raise TrainingError(
                        f"{path}:{number}: the id {line.item.id} stands in line {first} already"
                    )
                yield line
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}") from error


def _parse(raw: bytes, place: str) -> _Line:
    try:
        record = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{place}: no JSON: {error}") from error
    if not isinstance(record, dict):
        raise TrainingError(f"{place}: no JSON object")
    labels, group = record.pop("labels", {}), record.pop("group", None)
    try:
        item = item_model(Kind(str(record.get("kind")))).model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise TrainingError(f"{place}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except ValueError as error:
        raise TrainingError(f"{place}: kind is {record.get('kind')!r}, none of {', '.join(Kind)}") from error
    # An item without a group stands for itself.
    return _Line(item, _parse_labels(labels, place), item.id if group is None else str(group))


def _parse_labels(labels: Any, place: str) -> dict[str, tuple[str, ...]]:
    if not isinstance(labels, dict):
        raise TrainingError(f"{place}: labels is no object of {{task: [label, ...]}}")
    parsed = {}
    for task, names in labels.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise TrainingError(f"{place}: labels.{task} is no list of texts")
        if len(names) > MAX_LABELS_PER_ITEM or any(len(name) > MAX_LABEL_CHARS for name in names):
            raise TrainingError(
                f"{place}: labels.{task} has more than {MAX_LABELS_PER_ITEM} labels, "
                f"or one of more than {MAX_LABEL_CHARS} characters"
            )
        # Scraped lists hold blank labels now and then; they say nothing.
        parsed[task] = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    return parsed


def named_modalities(item: Item) -> frozenset[Modality]:
    """The modalities that the item names content for, whether or not it can be read."""
    media = {modality for modality in MEDIA_FIELDS[item.kind] if media_of(item, modality)}
    return frozenset(media | ({Modality.TEXT} if text_fields_of(item) else set()))


def read_content(example: Example, modalities: frozenset[Modality]) -> Content:
    """The item's texts and media bytes of the given modalities; None for media that cannot be read.

    Files are read; other addresses are not fetched in training, their items are trained without them.
    """
    media = {
        modality: _read_media(media_of(example.item, modality), example.folder)
        for modality in (Modality.IMAGE, Modality.AUDIO)
        if modality in modalities
    }
    text = text_fields_of(example.item) if Modality.TEXT in modalities else ()
    return Content(text, media.get(Modality.IMAGE), media.get(Modality.AUDIO))


def content_hash(content: Content, modality: Modality) -> bytes:
    """SHA-256 of one modality's content, 32 bytes; equal content is encoded once."""
    digest = hashlib.sha256(modality.encode())
    if modality is Modality.TEXT:
        for text in content.text:
            encoded = text.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(encoded) + encoded)
    else:
        digest.update((content.image if modality is Modality.IMAGE else content.audio) or b"")
    return digest.digest()


def _read_media(media: Any, folder: Path) -> bytes | None:
    if media is None:
        return None
    if isinstance(media, InlineMedia):
        return bytes(media.data)
    address = urlsplit(media.url)
    if address.scheme not in {"", "file"}:
        return None
    path = folder / (unquote(address.path) if address.scheme else media.url)
    try:
        found = path.stat()
        # A pipe or a device would be read for ever.
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_MEDIA_BYTES:
            return None
        return path.read_bytes()
    except OSError:
        return None
