"""What an installed genrestream has: the wheel, as the build backend that `pyproject.toml` names makes it."""

import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """Built here and now, without anything being fetched (PEP 517: the folder of the sources is the current
    one)."""
    folder = tmp_path_factory.mktemp("wheel")
    backend = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["build-backend"]
    code = f"import sys, {backend} as backend; backend.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, check=True, timeout=60)
    (built,) = folder.iterdir()
    return ZipFile(built)


def test_every_file_of_the_package_is_in_it(wheel):
    """Recipes, taxonomies, vocabularies, templates, Lua scripts, dashboards and the rest are read from beside
    the code that needs them: all there is, byte for byte."""
    files = {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in (ROOT / "genrestream").rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert {".css", ".j2", ".js", ".json", ".lua", ".sh", ".txt", ".typed", ".yaml", ".yml"} <= {
        Path(name).suffix for name in files
    }
    missing = sorted(set(files) - set(wheel.namelist()))
    assert missing == []
    changed = [name for name, content in files.items() if wheel.read(name) != content]
    assert changed == []


def test_nothing_else_is_in_it(wheel):
    """No tests, no benchmarks, no models: the package and its metadata, with the command."""
    folders = {name.partition("/")[0] for name in wheel.namelist()}
    (metadata,) = folders - {"genrestream"}
    assert metadata.endswith(".dist-info")
    scripts = wheel.read(f"{metadata}/entry_points.txt").decode()
    assert "genrestream = genrestream.__main__:main" in scripts
