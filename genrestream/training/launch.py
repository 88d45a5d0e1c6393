"""What torchrun tells the processes that it starts: which of how many each one is."""

import os
from dataclasses import dataclass

from genrestream.training.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Launch:
    """This process's place among those that were started together."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    """Among those on this machine."""
    local_count: int = 1
    """How many those are."""

    @property
    def first(self) -> bool:
        """Whether it is the one that shows progress, evaluates, and writes."""
        return self.rank == 0


def launched() -> Launch:
    """By the variables that torchrun sets, and other launchers for PyTorch like it; 0 of 1 without them.

    Raises:
        TrainingError: one of them is no number.
    """
    if "RANK" not in os.environ:
        return Launch()
    count = _number("WORLD_SIZE", 1)
    if count == 1:
        return Launch()
    return Launch(_number("RANK", 0), count, _number("LOCAL_RANK", 0), max(1, _number("LOCAL_WORLD_SIZE", 1)))


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, str(default))
    try:
        return int(text)
    except ValueError as error:
        raise TrainingError(f"{variable} is {text!r} and no number; torchrun sets it") from error
