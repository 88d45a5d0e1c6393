"""Catalogue sets: folders with `items.jsonl`, an item a line, media as paths relative to the folder.

Besides the item's own fields a line holds `labels`, `{task: [label, ...]}`, and `group`: items of one
group (artist, producer, film) are never split between training and test.

A million items must fit: what is kept of each is where its line begins, its group and its labels; the item
itself is read again from the file when it is asked for. Legend: n items.
"""

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from genrestream.schemas.items import Item, Kind, Modality, item_model
from genrestream.training.contents import named_modalities
from genrestream.training.errors import TrainingError

ITEMS_FILE = "items.jsonl"
MAX_LINE_BYTES = 4 * 1024 * 1024
"""A longer line is an error: inline media of 1 MiB in base64 and the texts fit twice."""
MAX_LABELS_PER_ITEM = 1_000
MAX_LABEL_CHARS = 200
MAX_GROUP_CHARS = 1_000


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


class Examples(Sequence[Example]):
    """Examples whose items stay in their files until they are asked for, each time anew.

    Of each it keeps its group, its labels and 11 bytes. Raises TrainingError when a file has changed since it
    was read.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        folder_of: NDArray[np.uint16],
        offsets: NDArray[np.int64],
        modalities: NDArray[np.uint8],
        labels: Sequence[tuple[str, ...]],
        groups: Sequence[str],
    ) -> None:
        """All [n]: the index of each one's folder, where its line begins, a bit a modality that it names."""
        self._folders, self._folder_of, self._offsets = folders, folder_of, offsets
        self._modalities = modalities
        self.labels, self.groups = labels, groups

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, place: int) -> Example: ...
    @overload
    def __getitem__(self, place: slice) -> list[Example]: ...
    def __getitem__(self, place: int | slice) -> Example | list[Example]:
        if isinstance(place, slice):
            return [self[row] for row in range(*place.indices(len(self)))]
        # Beyond the end it has to be an IndexError, by which an iteration knows its end.
        row = range(len(self))[place]
        folder = self._folders[int(self._folder_of[row])]
        return Example(self._read(row, folder), self.labels[row], self.groups[row], folder)

    def only(self, rows: NDArray[np.int64], labels: Sequence[tuple[str, ...]] | None = None) -> "Examples":
        """Some rows, in that order, with other `labels` [len(rows)] if they are given."""
        return Examples(
            self._folders,
            self._folder_of[rows],
            self._offsets[rows],
            self._modalities[rows],
            [self.labels[row] for row in rows] if labels is None else labels,
            [self.groups[row] for row in rows],
        )

    def modalities(self) -> Counter[Modality]:
        """How many items name content of each modality."""
        bits = {modality: 1 << place for place, modality in enumerate(Modality)}
        return Counter(
            {modality: int(np.count_nonzero(self._modalities & bit)) for modality, bit in bits.items()}
        )

    def _read(self, row: int, folder: Path) -> Item:
        path, offset = folder / ITEMS_FILE, int(self._offsets[row])
        try:
            with path.open("rb") as file:
                file.seek(offset)
                raw = file.readline(MAX_LINE_BYTES)
        except OSError as error:
            raise TrainingError(f"cannot read {path}: {error.strerror}") from error
        return _parse(raw, f"{path}, byte {offset}").item


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All labelled items of some sets, for one kind and task."""

    kind: Kind
    task: str
    examples: Examples
    items_of_set: dict[str, int]
    """Labelled items by the set's name."""
    unlabelled: int
    """Items that have no label for the task; they are left out."""
    unknown_labels: int = 0
    """Different labels that the taxonomy does not know."""

    def modalities(self) -> Counter[Modality]:
        """How many items name content of each modality."""
        return self.examples.modalities()


def read_catalogue(folders: Sequence[Path], kind: Kind, task: str) -> Catalogue:
    """The labelled items of the sets, in the order of the files.

    Raises:
        TrainingError: a set cannot be read, a line is wrong (named by file and line), an id stands twice,
            or no item of the kind has labels for the task.
    """
    folder_of, offsets, modalities = array("H"), array("q"), array("B")
    labels_of: list[tuple[str, ...]] = []
    groups: list[str] = []
    # Few label sets and few groups are ever new: each is kept once.
    known_labels: dict[tuple[str, ...], tuple[str, ...]] = {}
    items_of_set: dict[str, int] = {}
    tasks: set[str] = set()
    kinds: Counter[Kind] = Counter()
    unlabelled = 0
    for place, folder in enumerate(folders):
        if folder.name in items_of_set:
            raise TrainingError(f"two sets are called {folder.name}")
        items_of_set[folder.name] = 0
        for line in _read_set(folder):
            kinds[line.item.kind] += 1
            if line.item.kind != kind:
                continue
            tasks.update(name for name, labels in line.labels.items() if labels)
            if not (labels := line.labels.get(task)):
                unlabelled += 1
                continue
            folder_of.append(place)
            offsets.append(line.offset)
            named = named_modalities(line.item)
            modalities.append(sum(1 << bit for bit, each in enumerate(Modality) if each in named))
            labels_of.append(known_labels.setdefault(labels, labels))
            same_as_before = groups and groups[-1] == line.group
            groups.append(groups[-1] if same_as_before else line.group)
            items_of_set[folder.name] += 1
    names = ", ".join(str(folder) for folder in folders)
    if not kinds[kind]:
        there = ", ".join(f"{count} of kind {name}" for name, count in kinds.items()) or "no items"
        raise TrainingError(f"no items of kind {kind} in {names}: found {there}")
    if not labels_of:
        known = ", ".join(sorted(tasks)) or "none"
        raise TrainingError(f"no item in {names} has labels for the task {task}; tasks there: {known}")
    examples = Examples(
        tuple(folders),
        np.array(folder_of, np.uint16),
        np.array(offsets, np.int64),
        np.array(modalities, np.uint8),
        labels_of,
        groups,
    )
    return Catalogue(kind, task, examples, items_of_set, unlabelled)


@dataclass(frozen=True, slots=True)
class _Line:
    offset: int
    """Where it begins in its file."""
    item: Item
    labels: dict[str, tuple[str, ...]]
    group: str


def _read_set(folder: Path) -> Iterator[_Line]:
    path = folder / ITEMS_FILE
    if not path.is_file():
        raise TrainingError(f"no catalogue set at {folder}: {ITEMS_FILE} is missing")
    ids = _Ids(path)
    try:
        with path.open("rb") as file:
            number = offset = 0
            while raw := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > MAX_LINE_BYTES:
                    raise TrainingError(f"{path}:{number}: longer than {MAX_LINE_BYTES} bytes")
                if raw.strip():
                    line = _parse(raw, f"{path}:{number}", offset)
                    ids.add(line.item, number)
                    yield line
                offset += len(raw)
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}") from error
    ids.refuse_equal()


class _Ids:
    """Says whether two lines of a file have one id, from 16 bytes a line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digests, self._numbers = array("Q"), array("q")

    def add(self, item: Item, number: int) -> None:
        digest = hashlib.blake2b(
            f"{item.kind} {item.id}".encode("utf-8", "surrogatepass"), digest_size=8
        ).digest()
        self._digests.append(int.from_bytes(digest, "little"))
        self._numbers.append(number)

    def refuse_equal(self) -> None:
        """Raises TrainingError for the first line whose id stands in an earlier one.

        Two ids of a million share a digest once in 40 million files.
        """
        digests = np.array(self._digests, np.uint64)
        _, first, which = np.unique(digests, return_index=True, return_inverse=True)
        again = np.flatnonzero(first[which] != np.arange(len(digests)))
        if len(again):
            row = int(again[0])
            number, earlier = self._numbers[row], self._numbers[int(first[which[row]])]
            raise TrainingError(f"{self._path}:{number}: its id stands in line {earlier} already")


def _parse(raw: bytes, place: str, offset: int = 0) -> _Line:
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
    return _Line(offset, item, _parse_labels(labels, place), _parse_group(group, place) or item.id)


def _parse_group(group: Any, place: str) -> str:
    """Empty for an item without a group, which stands for itself."""
    if group is None:
        return ""
    if not isinstance(group, str | int) or len(str(group)) > MAX_GROUP_CHARS:
        raise TrainingError(
            f"{place}: group is no text of at most {MAX_GROUP_CHARS} characters, and no number"
        )
    return str(group).strip()


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
