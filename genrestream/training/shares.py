"""Features and embeddings by several processes, as `torchrun` starts them: each makes its share.

The shares lie in the store, from where the first process takes them over; the head is then its own work.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from genrestream.schemas.features import FeatureSpec
from genrestream.training.catalogue import Examples
from genrestream.training.embeddings import open_store
from genrestream.training.encode_chunk import Encoder
from genrestream.training.errors import TrainingError
from genrestream.training.head_inputs import head_inputs_of
from genrestream.training.picture_texts import take_picture_texts
from genrestream.training.processes import current, leave_to_first, wait_for_all
from genrestream.training.request import Progress


def share_out(
    examples: Examples,
    encoders: Sequence[Encoder],
    features: FeatureSpec,
    store: Path,
    progress: Progress = lambda step, done, total: None,
) -> None:
    """Fill the `store` together with the other processes; only the first returns. Alone it does nothing.

    Which share an item belongs to is decided by its place in the sets, so that items that are added at their
    ends leave the others where they are, and their embeddings are found again.

    Raises:
        TrainingError: embeddings cannot be kept, or the store is not one that all processes see.
        FeatureSetupError, RepositoryError: an encoder's tokenizer or graph is damaged.
    """
    processes = current()
    rank, count = processes.rank, processes.count
    if count == 1:
        return
    share = examples.only(np.arange(rank, len(examples), count))
    folders = [store, *(store / "shares" / f"{other}-of-{count}" for other in range(1, count))]
    head_inputs_of(
        share,
        encoders,
        features,
        folders[rank],
        lambda step, done, total: progress(f"{step}, one share of {count}", done, total),
    )
    wait_for_all()
    leave_to_first()
    for done, folder in enumerate(folders[1:], 1):
        _take(folder, encoders, features, store)
        progress("taking over the other shares", done, count - 1)


def _take(share: Path, encoders: Sequence[Encoder], features: FeatureSpec, store: Path) -> None:
    if not share.is_dir():
        raise TrainingError(f"another process left nothing in {share}: all must see the same --store")
    for encoder in encoders:
        chars = features.max_text_chars
        with open_store(share, encoder, chars) as theirs, open_store(store, encoder, chars) as ours:
            for contents, vectors in theirs.blocks():
                ours.append(contents, vectors)
    if features.picture_text is not None:
        take_picture_texts(share, features.picture_text, store)
