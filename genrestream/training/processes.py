"""Training by several processes, as `torchrun` starts them: each computes its share of every batch.

One process alone is the rule, and then nothing here does anything. A recipe's features are not shared out:
the store lets in one process at a time, the first makes them, and the others find them made.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from genrestream.training.errors import TrainingError
from genrestream.training.launch import launched

PATIENCE = timedelta(days=2)
"""How long a process waits for the others: while the first makes the features of millions of items, and not
because one has died, for then torchrun ends all."""

LEAST_ITEMS = 2
"""Of a batch that each process must get: batch norm needs two."""

Rows = TypeVar("Rows", NDArray[np.int64], NDArray[np.float32])


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that train together."""

    rank: int = 0
    count: int = 1

    def part(self, rows: Rows) -> Rows:
        """This process's share of a batch."""
        return rows[self.rank :: self.count]

    def total(self, value: float) -> float:
        """The sum over all processes."""
        if self.count == 1:
            return value
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        summed = torch.tensor(value, dtype=torch.float64, device=device)
        distributed.all_reduce(summed)
        return float(summed)

    def mean_of_batch(self, losses: Tensor, batch_items: int) -> Tensor:
        """What this process's losses add to the mean loss of a batch, for the backward pass.

        `together` takes the mean of all processes' gradients, so that each stands for the sum of them here.
        """
        return losses.sum() / (batch_items / self.count)

    def refuse_thin(self, batch_items: int) -> None:
        """Raises TrainingError when a batch has too few items for so many processes."""
        if self.count > 1 and batch_items < LEAST_ITEMS * self.count:
            raise TrainingError(
                f"batches of {batch_items} items are too small for {self.count} processes: "
                "start fewer, or train with larger batches"
            )

    def together(self, network: nn.Module) -> nn.Module:
        """The network so that a backward pass leaves the mean of all processes' gradients."""
        if self.count == 1:
            return network
        # Of a modality that no item of a part has, the encoder rests. Where none ever does, PyTorch says so.
        warnings.filterwarnings("ignore", "find_unused_parameters=True was specified")
        return DistributedDataParallel(network, find_unused_parameters=True)


ALONE = Processes()


def current() -> Processes:
    """This process among those that it trains with."""
    if not distributed.is_initialized():
        return ALONE
    return Processes(distributed.get_rank(), distributed.get_world_size())


@contextmanager
def joined(device: str) -> Iterator[None]:
    """Together with the other processes that were launched, until the end or `leave_to_first`.

    Raises:
        TrainingError: there are more processes than CUDA devices on this machine.
    """
    if launched().count == 1:
        yield
        return
    if device == "cuda":
        local, there = launched().local_rank, torch.cuda.device_count()
        if local >= there:
            raise TrainingError(f"{there} CUDA devices are here: start at most so many processes a machine")
        torch.cuda.set_device(local)
    distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        _part()


def wait_for_all() -> None:
    """Until every process that this one joined has come here."""
    distributed.barrier()


def leave_to_first() -> None:
    """Part from the others. Only the first returns from here; the rest have done their share, and end."""
    rank = current().rank
    _part()
    if rank > 0:
        raise SystemExit(0)


def _part() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
