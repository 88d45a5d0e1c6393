"""What a training takes of memory, for catalogues of several sizes: `python -m benchmarks.training_memory`.

Each size is a generated set of podcasts, texts alone, trained by `genrestream train` with the starter encoder
in a process of its own. What counts is memory that no file stands behind (RssAnon), of the process and all
that it started together: pages of mapped files go when others need the room.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

SIZES = (10_000, 50_000)
GENRES = 12
WORDS_A_GENRE = 40
WORDS_AN_ITEM = 60
LOOK_EVERY_S = 0.2

console = Console(stderr=True)


@dataclass(frozen=True, slots=True)
class Taken:
    """What the training of one size took."""

    items: int
    peak_mib: float
    seconds: float
    items_file_mib: float


def main() -> int:
    """Train on each size; the exit status is 1 if one of them fails."""
    arguments = _parser().parse_args()
    taken = []
    with tempfile.TemporaryDirectory(prefix="genrestream-memory-") as folder:
        for items in arguments.items or SIZES:
            console.print(f"{items} items", highlight=False)
            taken.append(_train(_write_set(Path(folder) / f"set-{items}", items), items, arguments.models))
    table = Table("items", "items.jsonl, MiB", "peak, MiB", "bytes an item over the first", "s", box=None)
    first = taken[0]
    for each in taken:
        more = each.items - first.items
        growth = f"{(each.peak_mib - first.peak_mib) * 2**20 / more:.0f}" if more else ""
        cells = (f"{each.items_file_mib:.0f}", f"{each.peak_mib:.0f}", growth, f"{each.seconds:.0f}")
        table.add_row(f"{each.items:,}", *cells)
    console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in taken], indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.training_memory", description=__doc__)
    parser.add_argument("--items", type=int, action="append", help=f"a size; again for more ({SIZES})")
    parser.add_argument("--models", type=Path, default=Path("triton_models"), help="has the starter encoders")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there too")
    return parser


def _write_set(folder: Path, items: int) -> Path:
    """Podcasts whose genre shows in a third of their words; two of them a group."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    common = [f"common{number}" for number in range(4_000)]
    with (folder / "items.jsonl").open("w", encoding="utf-8") as file:
        for number in range(items):
            genre = int(rng.integers(GENRES))
            own = [f"g{genre}w{word}" for word in rng.integers(0, WORDS_A_GENRE, WORDS_AN_ITEM // 3)]
            others = [common[word] for word in rng.integers(0, len(common), WORDS_AN_ITEM - len(own))]
            item = {"kind": "podcast", "id": f"p{number}", "title": f"Show {number}"}
            item |= {"description": " ".join([*own, *others]), "group": f"g{number // 2}"}
            file.write(json.dumps({**item, "labels": {"genres": [f"genre {genre}"]}}) + "\n")
    return folder


def _train(folder: Path, items: int, models: Path) -> Taken:
    work = folder.parent / f"work-{items}"
    command = [sys.executable, "-m", "genrestream", "train", str(folder), "--kind", "podcast"]
    command += ["--task", "genres", "--encoders", "starter", "--models", str(_encoders(models, work))]
    command += ["--store", str(work / "store"), "--epochs", "4", "--json"]
    began_s = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _anonymous_bytes(process.pid))
        time.sleep(LOOK_EVERY_S)
    if process.returncode:
        raise SystemExit(f"the training of {items} items failed")
    seconds = time.monotonic() - began_s
    size = (folder / "items.jsonl").stat().st_size
    return Taken(items, peak / 2**20, seconds, size / 2**20)


def _encoders(models: Path, work: Path) -> Path:
    """A repository with the starter's text encoder alone."""
    target = work / "models"
    target.mkdir(parents=True)
    (target / "text-starter").symlink_to((models / "text-starter").absolute())
    return target


def _anonymous_bytes(pid: int) -> int:
    total = 0
    try:
        processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    for process in processes:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            continue
        anonymous = [line for line in status.splitlines() if line.startswith("RssAnon:")]
        total += 1024 * int(anonymous[0].split()[1]) if anonymous else 0
    return total


if __name__ == "__main__":
    sys.exit(main())
