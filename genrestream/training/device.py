"""Which devices PyTorch can train on here, and on how many threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def cuda_is_there() -> bool:
    """Whether a CUDA device can be used."""
    return bool(torch.cuda.is_available())


def has_bfloat16(device: str) -> bool:
    """Whether the device computes in bfloat16, and not by way of float32.

    A CUDA device of 2020 or newer does, and so does a CPU with AMX, Intel's matrix units: there a step of
    tuning E5 takes a third of the time (two cores).
    """
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch's operations on one thread, and then on as many as before.

    The number decides the order of sums, and so the last bits of every model that is trained after.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
