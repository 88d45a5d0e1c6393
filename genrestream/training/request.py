"""What a training is asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genrestream.repository.layout import head_name, is_model_name
from genrestream.schemas.items import Kind
from genrestream.schemas.taxonomy import AS_GIVEN
from genrestream.training.encoder_choice import AUTO
from genrestream.training.errors import TrainingError
from genrestream.training.fit_loop import FitSettings
from genrestream.training.thresholds import Aim

Progress = Callable[[str, int, int], None]
"""Called with the step's name, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What to train on, and how."""

    sets: Sequence[Path]
    kind: Kind
    task: str
    served_as: str
    """The name of the task in releases and label records."""
    models: Path
    store: Path
    """Where embeddings are kept."""
    encoders: str = AUTO
    min_items: int = 10
    """Training items that a label needs."""
    aim: Aim = Aim.MICRO_F1
    precision_floor: float = 0.7
    read_pictures: bool = False
    """Whether the head learns what the text in a picture is worth to items that have no other."""
    word_buckets: int | None = None
    """None: as many as the labels allow."""
    taxonomy: str = AS_GIVEN
    source: str = ""
    """Whose labels the taxonomy maps."""
    keep_labels: int | None = None
    """How many of the training fold's most frequent labels stand for themselves, the others being one label;
    None: all do."""
    split: Path | None = None
    """A `split.json` whose folds are used again; None: a new split by the seed."""
    fit: FitSettings = field(default_factory=FitSettings)


def refuse_unnameable(request: TrainRequest) -> None:
    """Return if the head can have its name in the model repository; it is asked before hours are spent.

    Raises:
        TrainingError: it cannot.
    """
    head = head_name(request.kind, request.served_as)
    if not (is_model_name(request.served_as) and is_model_name(head)):
        raise TrainingError(
            f"no head can be called {head!r}: say another name with --as, of lower-case letters, digits, "
            "dots and dashes, at most 64 with the kind"
        )
