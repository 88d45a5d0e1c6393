"""The golden batch beside a head's graph: inputs and the confidences that it must give for them.

A server that gives others has another graph, another version, or a fault; nothing goes live on it.
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genrestream.repository.errors import RepositoryError
from genrestream.schemas.tensors import CONFIDENCES

MAX_DIFFERENCE = 2e-3
"""How far confidences may be from the expected ones: a GPU multiplies with 10 bits of mantissa (TF32)."""

MAX_GOLDEN_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Golden:
    """Inputs by name [b, ...], and the expected confidences float32 [b, l]."""

    inputs: Mapping[str, NDArray[Any]]
    confidences: NDArray[np.float32]


def pack_golden(golden: Golden) -> bytes:
    """The bytes of `golden.npz`."""
    target = io.BytesIO()
    arrays: dict[str, Any] = {**golden.inputs, CONFIDENCES: golden.confidences}
    np.savez_compressed(target, **arrays)
    return target.getvalue()


def read_golden(path: Path) -> Golden:
    """The golden batch in a version's folder.

    Raises:
        RepositoryError: there is none, it is too large, or it is not one.
    """
    try:
        if path.stat().st_size > MAX_GOLDEN_BYTES:
            raise RepositoryError(f"{path} is larger than {MAX_GOLDEN_BYTES} bytes")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        confidences = arrays.pop(CONFIDENCES)
    except OSError as error:
        raise RepositoryError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise RepositoryError(f"{path} is no golden batch") from error
    return Golden(arrays, confidences)


def check_golden(golden: Golden, found: NDArray[Any], where: str) -> float:
    """The largest difference from the expected confidences; `where` says who gave `found`.

    Raises:
        RepositoryError: the shape differs, or a confidence by more than 0.002.
    """
    if found.shape != golden.confidences.shape:
        raise RepositoryError(
            f"{where} gives confidences of shape {list(found.shape)} for the golden batch, "
            f"expected are {list(golden.confidences.shape)}"
        )
    difference = float(np.abs(found - golden.confidences).max(initial=0.0))
    # NaN is a failure, so the comparison is written to be false for it.
    if not difference <= MAX_DIFFERENCE:
        raise RepositoryError(
            f"{where} fails the golden batch: a confidence differs by {difference:.3g}, "
            f"allowed are {MAX_DIFFERENCE:g}"
        )
    return difference
