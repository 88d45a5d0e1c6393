"""Which room may import which: the table of the design, held for every import wherever it stands."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "genrestream"

ROOMS = {
    "schemas": set(),
    "connections": set(),
    "repository": {"schemas"},
    "workers": {"schemas", "repository", "connections", "kafka_records"},
    "training": {"schemas", "repository", "workers.features", "maven", "tools"},
    "client": {"schemas", "connections", "kafka_records"},
    "sample": {"schemas"},
    "ops": {"connections", "maven", "tools"},
    "cli": {"schemas", "connections", "repository", "workers", "training", "client", "sample", "ops"},
    "demo": {"schemas", "repository", "workers", "client", "sample", "ops"},
}
"""What each room may import of the others."""

TOP_LEVEL_FILES: dict[str, set[str]] = {
    "__init__.py": set(),
    "__main__.py": {"cli"},
    "kafka_records.py": set(),
    "maven.py": set(),
    "tools.py": set(),
}

STREAMING = {"faust", "aiokafka", "kafka", "redis", "tritonclient", "aiohttp"}
TRAINING_ONLY = {
    *("torch", "torchvision", "torchaudio", "timm", "transformers", "torchmetrics"),
    *("matplotlib", "jinja2", "simplemma", "mlflow", "sqlalchemy"),
}

PURE_MIDDLE = [
    *("workers/intake.py", "workers/pipeline.py", "workers/decide.py", "workers/encode.py"),
    *("workers/fuse.py", "workers/gather.py", "workers/ledger.py", "workers/records.py", "workers/score.py"),
    *("workers/earlier.py", "workers/shared_embeddings.py"),
    *sorted(str(path.relative_to(PACKAGE)) for path in (PACKAGE / "workers" / "features").glob("*.py")),
]
"""Decisions: no Kafka, Redis, Triton or HTTP client in them."""

FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """The full name of every module that a file imports, at the top or inside a function."""
    for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def top_level(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


def test_every_room_is_in_the_table():
    """A new folder states what it may import."""
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").is_file()}
    assert folders == set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_point_one_way(path):
    """A file imports of other rooms only what the table allows its own."""
    room = path.parts[0]
    rooms = {room, *ROOMS[room]} if room in ROOMS else TOP_LEVEL_FILES[room]
    allowed = {f"genrestream.{name}" for name in rooms} | {"genrestream.__version__"}
    wrong = [
        name
        for name in imported(path)
        if name.startswith("genrestream.")
        and not any(name == room or name.startswith(f"{room}.") for room in allowed)
    ]
    assert wrong == []


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] == "schemas"], ids=str)
def test_schemas_need_little(path):
    """What crosses a boundary is described with pydantic, PyYAML and the standard library alone."""
    allowed = {"genrestream", "pydantic", "pydantic_core", "yaml"} | sys.stdlib_module_names
    assert top_level(path) - allowed == set()


@pytest.mark.parametrize("path", PURE_MIDDLE)
def test_the_middle_is_pure(path):
    """Decisions and features import no client of Kafka, Redis, Triton or HTTP."""
    assert top_level(Path(path)) & STREAMING == set()


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] != "training"], ids=str)
def test_torch_stays_in_training(path):
    """A worker runs without torch: nothing outside training imports it, not even inside a function."""
    assert top_level(path) & TRAINING_ONLY == set()


def loaded_by(modules: str) -> set[str]:
    """The top-level packages in memory after a fresh interpreter has imported `modules`, parted by commas."""
    code = f"import sys, {modules}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module", ["genrestream.workers.features", "genrestream.schemas", "genrestream.repository"]
)
def test_import_pulls_in_no_client(module):
    """Training shares the features without Faust, Redis, Triton, Kafka or HTTP clients, nor torch."""
    assert loaded_by(module) & (STREAMING | TRAINING_ONLY) == set()


def test_the_command_line_starts_without_torch():
    """Every command but those of training works without torch in memory, and so without its extra."""
    assert loaded_by("genrestream.cli.main") & TRAINING_ONLY == set()


def test_a_worker_does_without_onnx_runtime():
    """Triton runs the models: what a worker does not load, it need not wait for after a crash."""
    assert "onnxruntime" not in loaded_by("genrestream.cli.main, genrestream.workers.app")


def test_onnx_runtime_sends_nothing_home(tmp_path):
    """With the package imported first, ONNX Runtime leaves no device id and no events to upload behind."""
    code = "import genrestream, onnxruntime as o; o.SessionOptions()"
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    )
    assert list(tmp_path.iterdir()) == []
