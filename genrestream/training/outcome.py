"""What a training came to, whichever way it took. Legend: l labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genrestream.repository.golden import Golden
from genrestream.schemas.items import Modality
from genrestream.schemas.releases import Gate
from genrestream.training.beside_branches import BesideBranches
from genrestream.training.evaluate import Evaluation
from genrestream.training.head_rows import HeadRows
from genrestream.training.prepare import Prepared


@dataclass(frozen=True, slots=True)
class Outcome:
    """A head with its figures: all that its candidate is made of."""

    prepared: Prepared
    """With the encoders that the head is to be served with."""
    modalities: tuple[Modality, ...]
    """What the head listens to."""
    thresholds: NDArray[np.float64]
    """[l]"""
    evaluation: Evaluation
    beside: Mapping[str, BesideBranches]
    """By slice."""
    gates: tuple[Gate, ...]
    graph: bytes
    """The head as ONNX."""
    golden: Golden
    rows: HeadRows
    """All items' inputs to the head; the test fold's at least are not zeros."""
    unreadable: int
    """Media that are named and could not be read."""
    curves: Sequence[Mapping[str, Sequence[float]]]
    """As `report.findings.Training` has them; empty of a recipe."""
    fit: Mapping[str, object]
    """The settings of the fit, by name."""
    details: Mapping[str, Any]
    """What only this way of training has to report; becomes JSON."""
