"""Weights from files and from the libraries' own servers, with one-line errors."""

import pickle
from pathlib import Path
from urllib.error import URLError

import torch
from httpx import HTTPError
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils.logging import set_verbosity_error
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from genrestream.training.encoders.draft import EncoderError

# URLError is torchvision's, the HTTP errors are huggingface_hub's; RuntimeError is timm's for "no weights"
# and that of a client which was closed after its retries.
DOWNLOAD_ERRORS = (OSError, URLError, HfHubHTTPError, HTTPError, ValueError, RuntimeError, ImportError)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file, or of one that `torch.save` wrote; no code in it is run.

    Raises:
        EncoderError: the file cannot be read, or holds anything but tensors by name.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError, SafetensorError) as error:
        raise EncoderError(f"cannot read the weights in {path}: {first_line(error)}") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise EncoderError(f"{path} is no state dict: tensors by name")
    return state


def without_notes() -> None:
    """Keep the libraries' own progress bars and notes on retries from the terminal."""
    from transformers import logging  # noqa: PLC0415 - two seconds to import

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    set_verbosity_error()  # type: ignore[no-untyped-call]


def unavailable(name: str, error: BaseException) -> EncoderError:
    """What to say when a model cannot be loaded, from its server or from a local folder."""
    if Path(name).exists():
        return EncoderError(f"cannot load {name}: {first_line(error)}")
    reason = first_line(error).rstrip(".")
    return EncoderError(f"cannot load {name}: {reason}; without a connection, name a local folder or file")


def first_line(error: BaseException) -> str:
    """The first line of an error's message, for people."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
