"""Whether a Python interpreter can run the project; standard library only.

`make` runs this file with the interpreter it found, before anything is installed:
`python3 genrestream/ops/interpreter.py` prints nothing, or one line that says what is missing.
"""

import ctypes
import importlib.util
import platform
import sys
import sysconfig
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"

LIBRARY = f"libpython{MINOR}.so.1.0"
"""The interpreter as a shared library, which Triton's Python backend loads."""


def library_dir() -> Path | None:
    """The folder of the interpreter's shared library, or None where there is no such file."""
    folders = [sysconfig.get_config_var("LIBDIR"), f"{sys.base_prefix}/lib"]
    return next((Path(folder) for folder in folders if folder and Path(folder, LIBRARY).is_file()), None)


def has_library() -> bool:
    """Whether Triton's Python backend will find the interpreter's shared library."""
    if library_dir():
        return True
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return True


def missing_library() -> str:
    """What to tell the user when `has_library` is false."""
    return f"{LIBRARY} is missing, Triton needs it: apt-get install libpython{MINOR}"


def find_problem() -> str | None:
    """What keeps this interpreter from running the project, in one line."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"needs x86-64 Linux, this is {sys.platform} on {platform.machine()}"
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return f"needs Python 3.11 to 3.13, {sys.executable} is {MINOR}"
    if not all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")):
        return f"Python's venv module is missing: apt-get install python{MINOR}-venv"
    if not has_library():
        return missing_library()
    return None


if __name__ == "__main__":
    problem = find_problem()
    if problem:
        sys.exit(f"genrestream: {problem}")
