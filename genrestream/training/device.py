"""Which devices PyTorch can train on here."""

import torch


def cuda_is_there() -> bool:
    """Whether a CUDA device can be used."""
    return bool(torch.cuda.is_available())
