"""The items that a benchmark publishes: a catalogue set, repeated under new ids until there are enough."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from genrestream.schemas import Kind

SETS = {Kind.PODCAST: "podcasts", Kind.EVENT: "screenings", Kind.TRACK: "tracks"}
"""The folders of `--data`; the generated sample names its own after the kinds."""


@dataclass(frozen=True, slots=True)
class BenchmarkSet:
    """The items of one kind, and the folder that their media paths are relative to."""

    kind: Kind
    file: Path

    @property
    def folder(self) -> Path:
        """Where the media lie."""
        return self.file.parent

    def write(self, target: Path, count: int, prefix: str, distinct: int | None = None) -> list[str]:
        """Write `count` items with new ids to `target`, media as absolute paths; return the ids in order.

        Only the first `distinct` of the set are repeated, by default all.
        """
        ids: list[str] = []
        with target.open("w") as out:
            for number, fields in enumerate(islice(cycle(islice(self._items(), distinct)), count)):
                ids.append(f"{prefix}-{number}")
                out.write(json.dumps({**fields, "id": ids[-1]}) + "\n")
        return ids

    def _items(self) -> Iterator[dict[str, Any]]:
        with self.file.open() as lines:
            for line in lines:
                fields = json.loads(line)
                for name in ("poster", "cover", "audio"):
                    if fields.get(name):
                        fields[name] = str(self.folder / fields[name])
                yield fields


def find_sets(data: Path) -> dict[Kind, BenchmarkSet]:
    """The set of each kind: real ones if `data` holds them, else those of a generated sample.

    Raises:
        FileNotFoundError: a kind has no set.
    """
    found = {}
    for kind, name in SETS.items():
        candidates = [data / name / "items.jsonl", data / f"{kind}s" / "items.jsonl"]
        file = next((path for path in candidates if path.is_file()), None)
        if file is None:
            raise FileNotFoundError(f"no {candidates[0]} and no {candidates[1]}")
        found[kind] = BenchmarkSet(kind, file.absolute())
    return found
