"""What a tuned encoder is called in the model repository."""

import re

from genrestream.repository.layout import is_model_name
from genrestream.schemas.items import Kind, Modality
from genrestream.training.encoder_choice import PRETRAINED, STARTER
from genrestream.training.errors import TrainingError

MAX_CHARS = 64
"""Of a model's name."""


def tuned_name(asked: str | None, base: str, modality: Modality, kind: Kind, task: str) -> str:
    """The name that was asked for, else one made of the untuned encoder's, the kind and the task.

    Raises:
        TrainingError: it is no name for a model, does not begin with the modality as encoders' names do, or
            belongs to an encoder that is not tuned, whose next version heads of other tasks would take.
    """
    name = _made(base, kind, task) if asked is None else asked
    if not is_model_name(name) or not name.startswith(f"{modality}-"):
        raise TrainingError(
            f"no encoder of {modality} can be called {name}: say --as {modality}-..., lower-case letters, "
            f"digits, dots and dashes, at most {MAX_CHARS}"
        )
    if name in {base, PRETRAINED[modality], STARTER[modality]}:
        raise TrainingError(f"{name} is the name of an encoder that is not tuned: say another with --as")
    return name


def _made(base: str, kind: Kind, task: str) -> str:
    """The base's name is cut where the whole would be too long: the task is what tells two of them apart."""
    ending = re.sub(r"[^a-z0-9._-]+", "-", f"-tuned-{kind}-{task}".lower()).rstrip("._-")
    return base[: max(0, MAX_CHARS - len(ending))].rstrip("._-") + ending
