"""For all tests of the training."""

from importlib.util import find_spec

import pytest


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Two halves of the suite run beside each other: more threads of PyTorch would spin and wait for cores.

    The tests of the recipes take 36 s with it and 64 s without.
    """
    if find_spec("torch"):
        import torch

        torch.set_num_threads(1)
