"""Long texts in windows inside the graph, on an encoder that tells every token and its place."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from genrestream.repository.graph import Graph
from genrestream.schemas.tensors import EMBEDDING, TOKEN_IDS

pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.encoders.text_windows import (  # noqa: E402
    SpecialTokens,
    in_windows,
    longest_text,
    special_tokens,
)

PAD, DIM, WINDOW = 0, 3, 10
TABLE = np.random.default_rng(0).normal(size=(40, DIM)).astype(np.float32)
BERT = SpecialTokens((2,), (3,))


def encode(ids: Sequence[int]) -> np.ndarray:
    """Each token's vector times its place from 1, over the number of tokens; padding counts nothing."""
    found = [TABLE[token] * place for place, token in enumerate(ids, start=1) if token != PAD]
    return np.sum(found, axis=0) / len(found) if found else np.zeros(DIM)


def encoder() -> bytes:
    """`encode` as a graph; it refuses more tokens than a window has, as a transformer does."""
    nodes = [
        ("Gather", ["table", TOKEN_IDS], "vectors", {}),
        ("Shape", [TOKEN_IDS], "shape", {}),
        ("Slice", ["shape", "one", "two"], "tokens", {}),
        ("Slice", ["all_places", "zero", "tokens"], "places", {}),
        ("Mul", ["vectors", "places"], "placed", {}),
        ("Equal", [TOKEN_IDS, "pad"], "empty", {}),
        ("Not", ["empty"], "there", {}),
        ("Cast", ["there"], "there_float", {"to": TensorProto.FLOAT}),
        ("Unsqueeze", ["there_float", "two"], "mask", {}),
        ("Mul", ["placed", "mask"], "masked", {}),
        ("ReduceSum", ["masked", "one"], "sums", {"keepdims": 0}),
        ("ReduceSum", ["mask", "one"], "count", {"keepdims": 0}),
        ("Max", ["count", "one_float"], "count_or_one", {}),
        ("Div", ["sums", "count_or_one"], EMBEDDING, {}),
    ]
    constants = {
        "table": TABLE,
        "all_places": np.arange(1, WINDOW + 1, dtype=np.float32)[:, None],
        "pad": np.array(PAD),
        "zero": np.array([0]),
        "one": np.array([1]),
        "two": np.array([2]),
        "one_float": np.ones(1, np.float32),
    }
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **more) for kind, inputs, output, more in nodes],
        "encoder",
        [helper.make_tensor_value_info(TOKEN_IDS, TensorProto.INT64, ["b", "t"])],
        [helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["b", DIM])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def run(folder: Path, graph: bytes, ids: np.ndarray) -> np.ndarray:
    path = folder / "model.onnx"
    path.write_bytes(graph)
    return Graph(path).run({TOKEN_IDS: ids}, EMBEDDING)


def batch(texts: Sequence[Sequence[int]], special: SpecialTokens) -> np.ndarray:
    """As a worker sends them: with special tokens, padded to the longest."""
    full = [[*special.before, *text, *special.behind] for text in texts]
    ids = np.full((len(full), max(map(len, full))), PAD, np.int64)
    for row, tokens in zip(ids, full, strict=True):
        row[: len(tokens)] = tokens
    return ids


def text(tokens: int, seed: int) -> list[int]:
    return np.random.default_rng(seed).integers(5, 40, tokens).tolist()


@pytest.mark.parametrize(
    "special", [BERT, SpecialTokens((), ()), SpecialTokens((), (3,)), SpecialTokens((2,), ())]
)
def test_what_fits_into_one_window_is_as_it_was(tmp_path, special):
    """The same numbers, bit by bit, also for shorter texts of the batch and one without a token."""
    ids = batch([text(WINDOW - len(special), 1), text(4, 2), []], special)
    assert np.array_equal(
        run(tmp_path, in_windows(encoder(), WINDOW, special, PAD), ids), run(tmp_path, encoder(), ids)
    )


@pytest.mark.parametrize("special", [BERT, SpecialTokens((), ()), SpecialTokens((4, 2), (3, 4))])
@pytest.mark.parametrize("windows", [2, 3, 5])
def test_a_long_text_is_the_mean_of_its_windows(tmp_path, special, windows):
    """Each with the special tokens of a text, all equally long."""
    room = WINDOW - len(special)
    long = text(windows * room, windows)
    parts = [long[start : start + room] for start in range(0, len(long), room)]
    expected = np.mean([encode([*special.before, *part, *special.behind]) for part in parts], axis=0)
    found = run(tmp_path, in_windows(encoder(), WINDOW, special, PAD), batch([long], special))
    np.testing.assert_allclose(found, [expected], rtol=1e-5)


def test_windows_are_about_equally_long(tmp_path):
    """Eleven tokens, of which eight fit, are six and five: the last window is padded, not the text cut."""
    long = text(11, 7)
    first, last = [2, *long[:6], 3], [2, *long[6:], PAD, 3]
    found = run(tmp_path, in_windows(encoder(), WINDOW, BERT, PAD), batch([long], BERT))
    np.testing.assert_allclose(found, [(encode(first) + encode(last)) / 2], rtol=1e-5)


def test_a_shorter_text_of_the_batch_counts_the_windows_that_it_reaches(tmp_path):
    """Empty windows are no part of the mean; a text that ends within a window keeps its end there."""
    long, short, middle = text(24, 1), text(3, 2), text(10, 3)
    found = run(tmp_path, in_windows(encoder(), WINDOW, BERT, PAD), batch([long, short, middle, []], BERT))
    expected = [
        np.mean([encode([2, *long[start : start + 8], 3]) for start in (0, 8, 16)], axis=0),
        encode([2, *short, 3]),
        # Its end, 3, is the last that its second window holds.
        (encode([2, *middle[:8], 3]) + encode([2, *middle[8:], 3])) / 2,
        encode([2, 3]),
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_special_tokens_are_those_of_the_file(tokenizer_of):
    """Whatever the template puts before and behind."""
    assert special_tokens(tokenizer_of("[CLS] $A [SEP]")) == SpecialTokens((2,), (3,))
    assert special_tokens(tokenizer_of("$A [SEP] [SEP]")) == SpecialTokens((), (3, 3))
    assert special_tokens(tokenizer_of("$A")) == SpecialTokens((), ())


@pytest.fixture
def tokenizer_of():
    """A tokenizer's file with this template."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    def made(template: str) -> bytes:
        tokenizer = Tokenizer(models.WordLevel({"[CLS]": 2, "[SEP]": 3, "a": 4}))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        special = [("[CLS]", 2), ("[SEP]", 3)]
        tokenizer.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
        return tokenizer.to_str().encode()

    return made


def test_the_longest_text_is_a_multiple_of_what_texts_are_padded_to():
    """Padded, it needs no window more."""
    assert longest_text(256, BERT, 16) == 1008
    assert longest_text(10, BERT, 16) == 32
    assert longest_text(10, BERT, 64) == 10
