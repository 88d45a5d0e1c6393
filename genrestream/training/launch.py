"""What torchrun tells the processes that it starts: which of how many each one is."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Launch:
    """This process's place among those that were started together."""

    rank: int
    count: int

    @property
    def first(self) -> bool:
        """Whether it is the one that shows progress, evaluates, and writes."""
        return self.rank == 0


def launched() -> Launch:
    """By the variables that torchrun sets, and other launchers for PyTorch like it; 0 of 1 without them."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    return Launch(int(os.environ["RANK"]), count) if count > 1 and "RANK" in os.environ else Launch(0, 1)
