"""Several coroutines at the same time, without a task where there is but one."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


async def together(work: Sequence[Coroutine[Any, Any, T]]) -> Sequence[T]:
    """The results of all, in order; one alone, which is the rule for an item, needs no task of its own."""
    return [await work[0]] if len(work) == 1 else await asyncio.gather(*work)
