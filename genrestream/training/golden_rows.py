"""A head's golden batch: real rows, under every subset of the modalities it listens to.

Legend: b batch.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from genrestream.repository.golden import Golden
from genrestream.schemas.features import HashedTextFeatures
from genrestream.schemas.items import Modality
from genrestream.schemas.tensors import PRESENCE, TERM_IDS, TERM_WEIGHTS, embedding_input
from genrestream.training.evaluate import Predict
from genrestream.training.export import check_parity
from genrestream.training.fuse import masked_to, rows_with
from genrestream.training.head_rows import READ, HeadRows
from genrestream.training.heads import all_subsets

ROWS_A_SUBSET = 4


def golden_batch(
    graph: bytes,
    predict: Predict,
    rows: HeadRows,
    candidates: NDArray[np.int64],
    hashed: HashedTextFeatures | None,
    modalities: tuple[Modality, ...],
) -> Golden:
    """The golden batch from some of the `candidates`, if the graph gives for it what `predict` does.

    Raises:
        TrainingError: it gives something else.
    """
    inputs, chosen = golden_inputs(rows, candidates, hashed, modalities)
    return Golden(inputs, check_parity(graph, inputs, predict(chosen, inputs[PRESENCE])))


def golden_inputs(
    rows: HeadRows,
    candidates: NDArray[np.int64],
    hashed: HashedTextFeatures | None,
    modalities: tuple[Modality, ...],
) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
    """The head's inputs [b, ...] for at most four rows a subset, and which of the candidates those are.

    What a row has outside the subset is given as a worker would give it: zeros, and no terms.
    """
    presence, chosen = [], []
    for subset in all_subsets(modalities, reads=rows.read is not None):
        there = rows.read.presence if rows.read is not None and READ in subset else rows.presence
        which = candidates[rows_with(there[candidates], subset)]
        if rows.terms is not None:
            # Short texts, so that the batch stays small; the stable order makes it the same every time.
            which = which[np.argsort(np.diff(rows.terms.starts)[which], kind="stable")]
            which = which[
                np.linspace(0, max(0, len(which) // 2 - 1), ROWS_A_SUBSET).astype(int)[: len(which)]
            ]
        chosen.append(which[:ROWS_A_SUBSET])
        presence.append(masked_to(there[chosen[-1]], subset))
    which, mask = np.concatenate(chosen), np.concatenate(presence)
    inputs: dict[str, NDArray[Any]] = {PRESENCE: mask}
    for modality in rows.embeddings:
        inputs[embedding_input(modality)] = rows.embedded(modality, which, mask)
    if rows.terms is not None and hashed is not None:
        inputs[TERM_IDS], inputs[TERM_WEIGHTS] = rows.padded_terms(which, mask, hashed.bucket_terms)
    return inputs, which
