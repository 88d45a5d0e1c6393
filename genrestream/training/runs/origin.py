"""What a run comes from: the bytes of its sets, and the commit of the code that trained."""

import hashlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

from genrestream.training.catalogue import ITEMS_FILE
from genrestream.training.errors import TrainingError

PACKAGE = Path(__file__).parents[2]
GIT_DEADLINE_S = 10.0


def set_fingerprints(sets: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of each set's lines, by its folder's name; media count only by their names in these lines.

    Raises:
        TrainingError: a set cannot be read.
    """
    return {folder.name: _sha256(folder / ITEMS_FILE) for folder in sets}


def _sha256(path: Path) -> str:
    # A pipe would be read for ever.
    if not path.is_file():
        raise TrainingError(f"no catalogue set at {path.parent}: {path.name} is missing")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}") from error


def commit_tags(package: Path = PACKAGE) -> dict[str, str]:
    """The git commit of the package's code, and whether its files differ from it.

    Empty where there is none: an installed wheel may lie inside a checkout of something else.
    """
    if not _git(package, "ls-files", "--", "__init__.py"):
        return {}
    commit, changed = _git(package, "rev-parse", "HEAD"), _git(package, "status", "--porcelain", "--", ".")
    if not commit or changed is None:
        return {}
    # MLflow's own name for it, which its pages show.
    return {"mlflow.source.git.commit": commit, "git_changed": "true" if changed else "false"}


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says; None where it is not installed, or this is not its folder."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=GIT_DEADLINE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
