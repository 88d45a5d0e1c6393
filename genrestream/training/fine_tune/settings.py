"""What a fine-tuning can be asked for. Imports no torch: the command line reads it."""

from dataclasses import dataclass
from enum import StrEnum

from genrestream.schemas.items import Modality

PRETRAINED = "pretrained"
"""In the place of a name or path: the encoder from the wheel."""
MAX_EPOCHS = 100
MAX_BATCH_ITEMS = 1024
MIN_RATE, MAX_RATE = 1e-6, 0.1

RATES = {Modality.TEXT: 5e-5, Modality.IMAGE: 2e-4, Modality.AUDIO: 2e-4}
"""Of the last block. Devlin et al. 2019 (arXiv:1810.04805, A.3) tune BERT with 2e-5 to 5e-5. The others' is
where one begins with convolutions, whose batch norms bear larger steps; it is not measured."""


class Blocks(StrEnum):
    """Which blocks of the encoder learn."""

    LAST = "last"
    """The last third of them."""
    ALL = "all"
    """First the last third, then all."""


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """Bounds and steps."""

    blocks: Blocks = Blocks.ALL
    epochs: int = 5
    """At most, of either stage; the rate falls over so many."""
    patience_epochs: int = 2
    """Without a better loss on the calibration fold."""
    batch_items: int = 16
    rate: float | None = None
    """AdamW's, of the last block; None: as `RATES` says."""

    def rate_of(self, modality: Modality) -> float:
        """The rate for an encoder of this modality."""
        return RATES[modality] if self.rate is None else self.rate
