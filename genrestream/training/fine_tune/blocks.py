"""An encoder as blocks, from its input to its output: what is near the output is tuned first, and most.

No two libraries name their blocks alike, so they are known by what repeats: modules of one kind that stand
in one list are a stack of blocks, and whatever holds a stack is opened. Their order is that of definition,
which in the networks of timm, torchvision and Hugging Face is that of computation.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genrestream.training.errors import TrainingError

LAST_PARTS = 3
"""One of so many parts of the blocks learns first. E5's embedding holds its last three of twelve layers."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Parameters that learn together."""

    name: str
    parameters: tuple[nn.Parameter, ...]


def blocks_of(encoder: nn.Module, example: Tensor) -> list[Block]:
    """The blocks whose parameters move the embedding of a batch, `example` [b, ...].

    A pooler that nothing reads is none, and weights that several blocks share belong to the first.

    Raises:
        TrainingError: nothing in the encoder can learn.
    """
    encoder.eval()
    parameters = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    if not parameters:
        raise TrainingError("the encoder has nothing that can learn")
    gradients = torch.autograd.grad(encoder(example).sum(), parameters, allow_unused=True)
    left = {
        id(parameter)
        for parameter, gradient in zip(parameters, gradients, strict=True)
        if gradient is not None
    }
    blocks = []
    for name, found in _parts(encoder, ""):
        own = tuple(parameter for parameter in found if id(parameter) in left)
        left -= {id(parameter) for parameter in own}
        if own:
            blocks.append(Block(name, own))
    return blocks


def first_of_last(blocks: Sequence[Block]) -> int:
    """The index of the first of the last third of the blocks; at least one block is in it."""
    return len(blocks) - -(-len(blocks) // LAST_PARTS)


def learn_from(blocks: Sequence[Block], first: int) -> None:
    """Let the blocks from index `first` on learn, and none before."""
    for index, block in enumerate(blocks):
        for parameter in block.parameters:
            parameter.requires_grad_(index >= first)


def _parts(module: nn.Module, name: str) -> Iterator[tuple[str, list[nn.Parameter]]]:
    """The module itself, or the parts of what holds a stack; its own parameters, such as the places of a
    picture's patches, come first."""
    if not any(_is_stack(part) for part in module.modules()):
        yield name, list(module.parameters())
        return
    yield name, list(module.parameters(recurse=False))
    for child, part in module.named_children():
        yield from _parts(part, f"{name}.{child}" if name else child)


def _is_stack(module: nn.Module) -> bool:
    if not isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        return False
    kinds = Counter(type(part) for part in module.children() if next(part.parameters(), None) is not None)
    return max(kinds.values(), default=0) > 1
