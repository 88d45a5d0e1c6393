"""The versions of what a training runs on: with the settings and the seed, what it takes to do it again."""

import platform
from importlib.metadata import PackageNotFoundError, version

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


def library_versions() -> dict[str, str]:
    """Versions by name, with Python's and the machine's; a library that is not installed is left out."""
    found = {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}"}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
