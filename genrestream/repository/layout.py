"""Where everything lies in a model repository.

`{model}/config.pbtxt`, `{model}/{version}/` with the graph and its record, `{kind}-{task}/live.json`, and
`.candidates/{kind}-{task}/{run}/` for heads that are trained and not released. A candidate's `report.html`
moves to `.reports/{model}/{version}.html` with its release: its megabytes of items' pictures and texts are
for the people who judge a head, not for every server that serves it.
"""

import re
from pathlib import Path

from genrestream.repository.errors import RepositoryError
from genrestream.schemas.items import Kind
from genrestream.schemas.releases import NAME

GRAPH = "model.onnx"
TOKENIZER = "tokenizer.json"
GOLDEN = "golden.npz"
ENCODER_RECORD = "encoder.json"
RELEASE_RECORD = "release.json"
RECORDS = (ENCODER_RECORD, RELEASE_RECORD)
CONFIG = "config.pbtxt"
LIVE_POINTER = "live.json"
CANDIDATES = ".candidates"
REPORTS = ".reports"
PAGE = "report.html"
UNFINISHED = ".unfinished-"
"""How the folder of a version begins until it is complete; Triton ignores what is not a number."""

MAX_RECORD_BYTES = 4 * 1024 * 1024
"""The largest record or live pointer that is read: 4 MiB, some ten thousand labels."""

_NAME = re.compile(NAME)
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


def is_model_name(name: str) -> bool:
    """Whether the name can be a folder, a Kafka key and a metric's label."""
    return _NAME.fullmatch(name) is not None


def model_dir(root: Path, model: str) -> Path:
    """The folder of a model.

    Raises:
        RepositoryError: it is no name for a model.
    """
    if not is_model_name(model):
        raise RepositoryError(
            f"no model name: {model!r} (lower-case letters, digits, dots, dashes; at most 64)"
        )
    return root / model


def version_dir(root: Path, model: str, version: int) -> Path:
    """The folder of a version, whether or not it is there."""
    return model_dir(root, model) / str(version)


def candidates_dir(root: Path, head: str) -> Path:
    """The folder of a head's candidates, whether or not it is there."""
    return model_dir(root / CANDIDATES, head)


def page_path(root: Path, model: str, version: int) -> Path:
    """The report of a version for people, whether or not it is there."""
    return model_dir(root / REPORTS, model) / f"{version}.html"


def head_name(kind: Kind, task: str) -> str:
    """The name of the head for a kind and task; also its first Triton model's."""
    return f"{kind}-{task}"


def kind_and_task(head: str) -> tuple[Kind, str]:
    """What `head_name` made the name of.

    Raises:
        RepositoryError: it is the name of no head.
    """
    kind, _, task = head.partition("-")
    if kind not in set(Kind) or not is_model_name(task):
        raise RepositoryError(f"no name of a head: {head!r} (KIND-TASK, such as podcast-genres)")
    return Kind(kind), task


def version_numbers(directory: Path) -> list[int]:
    """The complete versions in a model's folder, ascending; empty if there is no such folder."""
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if _VERSION.fullmatch(path.name))


def read_limited(path: Path) -> bytes:
    """The bytes of a small file.

    Raises:
        RepositoryError: it is missing, not readable, or larger than `MAX_RECORD_BYTES`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_RECORD_BYTES + 1)
    except FileNotFoundError as error:
        raise RepositoryError(f"no such file: {path}") from error
    except OSError as error:
        raise RepositoryError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_RECORD_BYTES:
        raise RepositoryError(f"{path} is larger than {MAX_RECORD_BYTES} bytes")
    return data
