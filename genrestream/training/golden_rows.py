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
from genrestream.training.head_rows import HeadRows
from genrestream.training.heads import subsets_of

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
    for subset in subsets_of(modalities):
        which = candidates[rows_with(rows.presence[candidates], subset)]
        if rows.terms is not None:
            # Short texts, so that the batch stays small; the stable order makes it the same every time.
            which = which[np.argsort(np.diff(rows.terms.starts)[which], kind="stable")]
            which = which[
                np.linspace(0, max(0, len(which) // 2 - 1), ROWS_A_SUBSET).astype(int)[: len(which)]
            ]
        chosen.append(which[:ROWS_A_SUBSET])
        presence.append(masked_to(rows.presence[chosen[-1]], subset))
    which, mask = np.concatenate(chosen), np.concatenate(presence)
    inputs: dict[str, NDArray[Any]] = {PRESENCE: mask}
    for modality, embeddings in rows.embeddings.items():
        shown = mask[:, list(Modality).index(modality)][:, None]
        inputs[embedding_input(modality)] = np.ascontiguousarray(embeddings[which] * shown)
    if rows.terms is not None and hashed is not None:
        ids, weights = rows.terms.padded(which, hashed.bucket_terms)
        shown = mask[:, list(Modality).index(Modality.TEXT)][:, None]
        inputs[TERM_IDS] = (ids * shown).astype(np.int32)
        inputs[TERM_WEIGHTS] = weights * shown
    return inputs, which
