"""What a training left out: counted, and called the same in the report, on the page and on the console."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from genrestream.schemas.items import Modality

if TYPE_CHECKING:
    from genrestream.training.outcome import Outcome

IN_WORDS: Mapping[str, str] = {
    "labels_left_out": "labels too rare to learn",
    "labels_not_in_taxonomy": "labels that the taxonomy does not know",
    "unlabelled_items": "items without labels for the task",
    "unreadable_media": "media that could not be read, or lie outside the set's folder",
    "unheard_media": "media of a modality that the head does not hear",
    "silent_items": "items with nothing that the head hears",
}


def skipped(outcome: "Outcome") -> dict[str, int]:
    """How often each happened, by the names of `IN_WORDS`."""
    prepared, rows = outcome.prepared, outcome.rows
    named = prepared.catalogue.modalities()
    unheard = {Modality.IMAGE, Modality.AUDIO} - set(outcome.modalities)
    silent = ~(rows.presence > 0).any(axis=1)
    if rows.read is not None:
        silent &= ~(rows.read.presence > 0).any(axis=1)
    return {
        "labels_left_out": prepared.targets.left_out,
        "labels_not_in_taxonomy": prepared.catalogue.unknown_labels,
        "unlabelled_items": prepared.catalogue.unlabelled,
        "unreadable_media": outcome.unreadable,
        "unheard_media": sum(named[modality] for modality in unheard),
        "silent_items": int(np.count_nonzero(silent)),
    }
