"""A modality is learnt where enough items have something of it that can be read, and not merely name it."""

from dataclasses import replace

import numpy as np

from genrestream.schemas.items import Modality
from genrestream.training.errors import TrainingError
from genrestream.training.head_rows import MODALITIES, HeadRows
from genrestream.training.prepare import MIN_MODALITY_ITEMS, Prepared


def without_unread(prepared: Prepared, rows: HeadRows) -> tuple[Prepared, HeadRows]:
    """Both without the media of which too few could be read, and their encoders.

    Raises:
        TrainingError: nothing is left to learn from, or texts in pictures were to be learnt from.
    """
    lost = {
        modality: int(np.count_nonzero(rows.has(modality)))
        for modality in rows.embeddings
        if modality is not Modality.TEXT and np.count_nonzero(rows.has(modality)) < MIN_MODALITY_ITEMS
    }
    if not lost:
        return prepared, rows
    embeddings = {modality: array for modality, array in rows.embeddings.items() if modality not in lost}
    if rows.read is not None or not (embeddings or rows.terms):
        which = ", ".join(f"{count} items have {modality}" for modality, count in lost.items())
        raise TrainingError(f"{which} that can be read; at least {MIN_MODALITY_ITEMS} must")
    presence = rows.presence.copy()
    presence[:, [MODALITIES.index(modality) for modality in lost]] = 0.0
    kept = [encoder for encoder in prepared.encoders if encoder.record.modality not in lost]
    features = prepared.features.model_copy(update={modality.value: None for modality in lost})
    views = {modality: views for modality, views in rows.views.items() if modality not in lost}
    return (
        replace(prepared, encoders=kept, features=features),
        HeadRows(embeddings, rows.terms, presence, views=views),
    )
