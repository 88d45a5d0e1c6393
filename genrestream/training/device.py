"""Which devices PyTorch can train on here, and on how many threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def cuda_is_there() -> bool:
    """Whether a CUDA device can be used."""
    return bool(torch.cuda.is_available())


def has_bfloat16(device: str) -> bool:
    """Whether the device computes in bfloat16, and not by way of float32: a CUDA device of 2020 or newer."""
    return device == "cuda" and bool(torch.cuda.is_bf16_supported(including_emulation=False))


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
