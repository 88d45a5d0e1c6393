"""Real sets in two parts: items to train on, and items that training never sees.

The parts differ by group (artist, producer, film), so that nothing of an item leaks through its siblings.
A group's part follows from its name alone: it is the same in every set and at every run.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from genrestream.demo.errors import DemoError
from genrestream.schemas import Kind
from genrestream.schemas.items import MEDIA_FIELDS

ITEMS_FILE = "items.jsonl"


@dataclass(frozen=True, slots=True)
class RealSet:
    """A set of the data folder and the head that learns from it."""

    name: str
    kind: Kind
    held_out_share: float
    task: str = "genres"
    served_as: str = "genres"

    @property
    def head(self) -> str:
        """The head's name in the model repository."""
        return f"{self.kind}-{self.served_as}"


# Small sets give a larger share, so that their accuracy rests on enough items.
REAL_SETS = (
    RealSet("podcasts", Kind.PODCAST, 0.08),
    RealSet("screenings", Kind.EVENT, 0.08),
    RealSet("tracks", Kind.TRACK, 0.15),
    RealSet("songs", Kind.TRACK, 0.15, served_as="song-genres"),
)


@dataclass(frozen=True, slots=True)
class Parts:
    """A divided set: two folders that are catalogue sets themselves."""

    train: Path
    held_out: Path
    train_items: int
    held_out_items: int

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what is trained on, hexadecimal."""
        return hashlib.sha256((self.train / ITEMS_FILE).read_bytes()).hexdigest()


def divide(real: RealSet, data: Path, folder: Path) -> Parts:
    """The set's items in `folder/train/NAME` and `folder/held-out/NAME`; media stay where they are.

    Training reads no media outside a set's folder, so the train part has links to what lies in the set's own.
    Held-out items name their media absolutely, as workers may read below `data`.

    Raises:
        DemoError: the set cannot be read, or the parts cannot be written.
    """
    source = (data / real.name).absolute()
    lines: dict[bool, list[bytes]] = {False: [], True: []}
    try:
        for number, line in enumerate((source / ITEMS_FILE).read_bytes().splitlines(), start=1):
            fields = _fields(line, f"{source / ITEMS_FILE}:{number}")
            is_held_out = _place(str(fields.get("group") or fields.get("id"))) < real.held_out_share
            for field in MEDIA_FIELDS[real.kind].values():
                if is_held_out and isinstance(fields.get(field), str) and "://" not in fields[field]:
                    fields[field] = str(source / fields[field])
            lines[is_held_out].append(orjson.dumps(fields))
        # Sets may be sorted by label; the first so many of these are a fair choice.
        lines[True].sort(key=lambda line: hashlib.sha256(line).digest())
        parts = Parts(
            folder / "train" / real.name, folder / "held-out" / real.name, len(lines[False]), len(lines[True])
        )
        for directory, part in ((parts.train, lines[False]), (parts.held_out, lines[True])):
            directory.mkdir(parents=True, exist_ok=True)
            (directory / ITEMS_FILE).write_bytes(b"".join(line + b"\n" for line in part))
        _link_media(source, parts.train)
    except OSError as error:
        raise DemoError(f"{error.filename}: {error.strerror}") from error
    return parts


def _link_media(source: Path, folder: Path) -> None:
    for entry in source.iterdir():
        link = folder / entry.name
        if entry.name == ITEMS_FILE:
            continue
        # One of an earlier run may lead to another data folder.
        if link.is_symlink():
            link.unlink()
        link.symlink_to(entry)


def _fields(line: bytes, where: str) -> dict[str, Any]:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DemoError(f"{where}: no JSON: {error}") from error
    if not isinstance(fields, dict):
        raise DemoError(f"{where}: no JSON object")
    return fields


def _place(group: str) -> float:
    """A group's place within 0..1, by its name alone."""
    return int.from_bytes(hashlib.sha256(group.encode()).digest()[:4]) / 2**32
