"""The versions of what a training runs on: with the settings and the seed, what it takes to do it again."""

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import genrestream

LIBRARIES = (
    "genrestream",
    "torch",
    "numpy",
    "onnx",
    "onnxruntime",
    "tokenizers",
    "pillow",
    "simplejpeg",
    "av",
)
"""Those that change a figure: the arithmetic, the graphs, the features. `transformers` and the like only
export encoders, whose graphs' checksums stand in their records."""


CODE = ("training", "workers/features")
"""The folders of this package whose code decides figures."""


def code_digest() -> str:
    """SHA-256, hexadecimal, of the code that figures depend on, and of the recipes beside it."""
    package = Path(genrestream.__file__).parent
    digest = hashlib.sha256()
    for folder in CODE:
        for path in sorted((package / folder).rglob("*")):
            if path.suffix in {".py", ".yaml"}:
                digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def library_versions() -> dict[str, str]:
    """Versions by name, with Python's and the machine's; a library that is not installed is left out."""
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
