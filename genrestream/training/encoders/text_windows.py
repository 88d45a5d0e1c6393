"""A text encoder that reads long texts in windows: the mean of the windows' embeddings is the text's.

Windows are a part of the graph, so that whoever serves it sends tokens as before. All windows of a batch have
one length, about that of the longest text over the number of windows that it needs, since a short last window
would lack its context. A batch that fits into one window goes through as it is.
Legend: b batch, t tokens, w windows, n tokens of a text without special ones, d embedding size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from genrestream.schemas.tensors import EMBEDDING, TOKEN_IDS

WINDOWS = 4
"""At most, of 256 tokens each as a rule: some 700 words. Of podcasts' descriptions 2 in 100 need a second."""

_OF_WINDOWS = "window_"
"""What the names of the encoder's own input and output begin with, and of all that is added."""


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The ids that a tokenizer puts before and behind every text."""

    before: tuple[int, ...]
    behind: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.before) + len(self.behind)


def special_tokens(tokenizer: bytes) -> SpecialTokens:
    """Those that the tokenizer's file adds."""
    loaded = Tokenizer.from_str(tokenizer.decode())
    plain = loaded.encode("a", add_special_tokens=False).ids
    full = loaded.encode("a").ids
    start = next(place for place in range(len(full)) if full[place : place + len(plain)] == plain)
    return SpecialTokens(tuple(full[:start]), tuple(full[start + len(plain) :]))


def longest_text(window_tokens: int, special: SpecialTokens, multiple: int) -> int:
    """The most tokens of a text, special ones included, that `WINDOWS` windows hold; a multiple."""
    longest = len(special) + WINDOWS * (window_tokens - len(special))
    return max(window_tokens, longest // multiple * multiple)


def in_windows(graph: bytes, window_tokens: int, special: SpecialTokens, pad_id: int) -> bytes:
    """The graph, whose `token_ids` [b, t] may have `window_tokens` at most, for longer texts as well."""
    model = onnx.load_from_string(graph)
    network = model.graph
    for node in network.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name in {TOKEN_IDS, EMBEDDING}:
                    names[place] = _OF_WINDOWS + name
    added = _Nodes()
    _cut(added, window_tokens, special, pad_id)
    for place, node in enumerate(added.nodes):
        network.node.insert(place, node)
    behind = _Nodes()
    _mean(behind)
    network.node.extend(behind.nodes)
    network.initializer.extend([*added.constants, *behind.constants])
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


class _Nodes:
    """Collects nodes; each gives one tensor."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, kind: str, name: str, *inputs: str, **attributes: Any) -> str:
        """A node, and the name of what it gives."""
        output = _OF_WINDOWS + name
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def named(self, *names: str) -> tuple[str, ...]:
        """Tensors that were added under these names, or are the encoder's own."""
        return tuple(_OF_WINDOWS + name for name in names)

    def ints(self, name: str, values: Sequence[int] | Sequence[Sequence[int]] | int) -> str:
        """A constant int64."""
        full = _OF_WINDOWS + name
        self.constants.append(numpy_helper.from_array(np.array(values, np.int64), full))
        return full


def _cut(nodes: _Nodes, window_tokens: int, special: SpecialTokens, pad_id: int) -> None:
    """From `token_ids` [b, t] to the windows [b x w, ...], and the weight of each."""
    add, ints = nodes.add, nodes.ints
    zero, one, minus_one = ints("zero", [0]), ints("one", [1]), ints("minus_one", [-1])
    before, behind = ints("before", [len(special.before)]), ints("behind", [len(special.behind)])
    room, pad = ints("room", [window_tokens - len(special)]), ints("pad", pad_id)

    # n, w and the length of a window, int64 [1] each.
    size = add("Slice", "size", add("Shape", "shape", TOKEN_IDS), one, ints("two", [2]))
    own_end = add("Sub", "own_end", size, behind)
    own = add("Sub", "own", own_end, before)
    count = add("Max", "count", one, _ceiling(nodes, "count_of", own, room))
    length = add("Max", "length", one, _ceiling(nodes, "length_of", own, count))
    spare = add("Sub", "spare", add("Mul", "places", count, length), own)

    text = add("Slice", "text", TOKEN_IDS, before, own_end, one)
    pads = add("Concat", "pads", zero, zero, zero, spare, axis=0)
    body_shape = add("Concat", "body_shape", minus_one, length, axis=0)
    body = add("Reshape", "body", add("Pad", "padded", text, pads, pad), body_shape)
    _weigh(nodes, body)
    parts = [body]
    rows = add("Slice", "rows", add("Shape", "body_size", body), zero, one)
    if special.before:
        first = ints("first_ids", [list(special.before)])
        parts.insert(0, add("Expand", "first", first, add("Concat", "first_shape", rows, before, axis=0)))
    if special.behind:
        came = add("Slice", "came", TOKEN_IDS, own_end, size, one)
        ends = _ends(nodes, body, came, ints("last_ids", [list(special.behind)]))
        parts.append(add("Reshape", "ends", ends, add("Concat", "ends_shape", rows, behind, axis=0)))
    add("Concat", TOKEN_IDS, *parts, axis=1)


def _weigh(nodes: _Nodes, body: str) -> None:
    """`weight`, float32 [b, w, 1]: 1 for a window that has a token, and for a text's first, else 0."""
    add = nodes.add
    zero, one, minus_one, pad, count = nodes.named("zero", "one", "minus_one", "pad", "count")
    filled = add("Not", "filled", add("Equal", "empty", body, pad))
    there = add("ReduceMax", "there", add("Cast", "filled_float", filled, to=TensorProto.FLOAT), axes=[1])
    bounds = (add("Squeeze", f"bound_{place}", bound) for place, bound in enumerate((zero, count, one)))
    is_first = add("Equal", "is_first", add("Range", "numbers", *bounds), zero)
    first = add("Cast", "first_float", is_first, to=TensorProto.FLOAT)
    by_text = add("Concat", "by_text", minus_one, count, one, axis=0)
    windows = (add("Reshape", f"{name}_by_text", name, by_text) for name in (there, first))
    add("Max", "weight", *windows)


def _ends(nodes: _Nodes, body: str, came: str, last_ids: str) -> str:
    """What stands behind each window, [b, w, special]: a text's end where the text goes on behind the window,
    and behind the last one what `came` [b, special] behind the text."""
    add = nodes.add
    zero, one, minus_one, pad, count, behind = nodes.named(
        "zero", "one", "minus_one", "pad", "count", "behind"
    )
    last = add("Slice", "last", body, minus_one, nodes.ints("end", [np.iinfo(np.int64).max]), one)
    goes_on = add("Not", "goes_on", add("Equal", "is_over", last, pad))
    by_text = add("Concat", "ends_by_text_shape", minus_one, count, behind, axis=0)
    ends = add("Reshape", "ends_by_text", add("Where", "ends_or_pads", goes_on, last_ids, pad), by_text)
    earlier = add("Slice", "earlier", ends, zero, add("Sub", "last_window", count, one), one)
    return add("Concat", "all_ends", earlier, add("Unsqueeze", "came_by_text", came, one), axis=1)


def _ceiling(nodes: _Nodes, name: str, whole: str, part: str) -> str:
    """Whole over part, rounded up; int64 as both are."""
    (one,) = nodes.named("one")
    less_one = nodes.add("Sub", f"{name}_less_one", nodes.add("Add", f"{name}_sum", whole, part), one)
    return nodes.add("Div", name, less_one, part)


def _mean(nodes: _Nodes) -> None:
    """From the windows' embeddings [b x w, d] to the texts' [b, d]."""
    add = nodes.add
    window, weight, one, two, minus_one, count = nodes.named(
        EMBEDDING, "weight", "one", "two", "minus_one", "count"
    )
    width = add("Slice", "width", add("Shape", "embedding_size", window), one, two)
    shape = add("Concat", "embedding_shape", minus_one, count, width, axis=0)
    weighed = add("Mul", "weighed", add("Reshape", "embedding_by_text", window, shape), weight)
    sums = add("ReduceSum", "embedding_sum", weighed, one, keepdims=0)
    weights = add("ReduceSum", "weight_sum", weight, one, keepdims=0)
    nodes.nodes.append(helper.make_node("Div", [sums, weights], [EMBEDDING]))
