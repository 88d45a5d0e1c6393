"""`make drill`: every fault drill at full length, with a table and, if wanted, a JSON file."""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from drills.account import Figures
from drills.disk import NoNamespacesError
from drills.faults import DRILLS, LONG, SHORT
from drills.scene import Scene, Size

MODELS = Path("triton_models")
console = Console(stderr=True)


def main() -> int:
    """Run the drills; the exit status is 1 when anything was lost or is stale, or one could not be run."""
    arguments = _parser().parse_args()
    rows = []
    not_run = []
    for name in arguments.only or DRILLS:
        console.print(f"{name}: {DRILLS[name].act.__doc__}", style="bold", highlight=False)
        with tempfile.TemporaryDirectory(prefix="genrestream-drill-") as folder:
            try:
                scene, figures = _run(name, arguments.size, Path(folder))
            except NoNamespacesError as error:
                console.print(f"{name} cannot be run here: {error}", style="bold red", highlight=False)
                not_run.append(name)
                continue
            finally:
                if arguments.logs:
                    shutil.copytree(folder, arguments.logs / name, dirs_exist_ok=True, ignore=_only_logs)
        rows.append({"drill": name, "faults": scene.faults} | asdict(figures))
        console.print_json(json.dumps(rows[-1]), indent=None)
        if arguments.json:
            arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    _show(rows)
    return int(bool(not_run) or any(row["lost"] or row["stale"] or row["contradictory"] for row in rows))


def _run(name: str, size: Size, folder: Path) -> tuple[Scene, Figures]:
    with DRILLS[name].place(folder, MODELS) as scene:
        return scene, asyncio.run(drill(scene, name, size))


async def drill(scene: Scene, name: str, size: Size) -> Figures:
    """Run one drill on the scene and give its account.

    Raises:
        RuntimeError: a worker ended by itself.
    """
    begin = await scene.begin()
    try:
        await DRILLS[name].act(scene, size)
        figures = await scene.account(begin)
        if dead := scene.dead_workers():
            raise RuntimeError(f"{name}: {'; '.join(dead)}; logs in {scene.folder}")
    finally:
        await scene.close()
    return figures


def _only_logs(folder: str, names: list[str]) -> list[str]:
    return [name for name in names if not (name.endswith(".log") or Path(folder, name).is_dir())]


def _show(rows: list[dict[str, object]]) -> None:
    table = Table(*(rows[0] if rows else ()), box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(width=200).print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make drill", description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the table there, too")
    parser.add_argument("--only", action="append", choices=sorted(DRILLS), help="only this one; repeatable")
    parser.add_argument(
        "--short", dest="size", action="store_const", const=SHORT, default=LONG, help="the tests' form"
    )
    parser.add_argument("--logs", type=Path, metavar="FOLDER", help="keep the logs there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
