"""Where models are trained: what `--device` takes."""

from enum import StrEnum

from genrestream.training.errors import TrainingError


class Device(StrEnum):
    """Where models are trained."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def device_of(choice: Device) -> str:
    """PyTorch's name of the device: for auto a CUDA device where there is one.

    Raises:
        TrainingError: a CUDA device was asked for and is not there.
    """
    from genrestream.training.device import cuda_is_there  # noqa: PLC0415 - imports torch

    if choice is Device.CUDA and not cuda_is_there():
        raise TrainingError("no CUDA device is there; --device cpu trains without one")
    if choice is Device.AUTO:
        return "cuda" if cuda_is_there() else "cpu"
    return choice.value
