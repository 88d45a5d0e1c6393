"""The exported graph says what PyTorch says."""

import dataclasses

import numpy as np
import onnx
import pytest

from genrestream.repository.graph import Graph
from genrestream.schemas import Modality
from genrestream.schemas.releases import EmbeddingView
from genrestream.schemas.tensors import CONFIDENCES, PRESENCE, embedding_input
from genrestream.training.errors import TrainingError
from genrestream.training.head_rows import HeadRows
from tests.unit.training.heads import LABELS, make_rows

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.training

from genrestream.training.export import check_parity, export_head, round_tables  # noqa: E402
from genrestream.training.fit import cross_fit, fit_branches  # noqa: E402
from genrestream.training.fit_loop import FitSettings, branch_logits  # noqa: E402
from genrestream.training.fuse import fit_gate  # noqa: E402
from genrestream.training.golden_rows import golden_inputs  # noqa: E402
from genrestream.training.heads import TERMS, FusedHead  # noqa: E402
from genrestream.training.split import assign_groups  # noqa: E402
from genrestream.training.terms_size import hashed_features  # noqa: E402

SETTINGS = FitSettings(epochs=3)
CASES = [
    [Modality.TEXT],
    [Modality.IMAGE],
    [Modality.AUDIO],
    [Modality.IMAGE, Modality.AUDIO],
    [Modality.TEXT, Modality.IMAGE, Modality.AUDIO],
]


def trained(rows: HeadRows, targets: np.ndarray) -> FusedHead:
    parts = assign_groups(targets, [str(row) for row in range(len(targets))], [1.0] * 2, 0)
    everything = np.arange(len(targets))
    crossed = cross_fit(rows, targets, everything, parts, SETTINGS)
    gate = fit_gate(crossed.names, crossed.held_out_logits, rows.presence, targets, 0)
    head = FusedHead(fit_branches(rows, targets, everything, crossed.best_epochs, SETTINGS), gate)
    round_tables(head.branches)
    return head


def expected(head: FusedHead, rows: HeadRows, which: np.ndarray, presence: np.ndarray) -> np.ndarray:
    logits = branch_logits(head.branches, rows, which, SETTINGS)
    with torch.no_grad():
        found: np.ndarray = head.gate(torch.from_numpy(logits), torch.from_numpy(presence)).numpy()
    return found


@pytest.mark.parametrize("modalities", CASES, ids="+".join)
def test_parity_on_every_subset(modalities, tmp_path):
    """For heads of one, two and three modalities, every subset of them: the graph's confidences are
    PyTorch's, when absent modalities come as zeros and padding, as a worker sends them."""
    rows, targets = make_rows(240, modalities=modalities)
    head = trained(rows, targets)
    hashed = hashed_features(LABELS, 64) if Modality.TEXT in modalities else None
    inputs, which = golden_inputs(rows, np.arange(240), hashed, head.gate.modalities)
    assert len(np.unique(inputs[PRESENCE], axis=0)) == 2 ** len(modalities) - 1
    graph = export_head(head, LABELS)
    found = check_parity(graph, inputs, expected(head, rows, which, inputs[PRESENCE]))
    assert found.shape == (len(which), LABELS)
    assert found.std(axis=0).min() > 0.01
    path = tmp_path / "model.onnx"
    path.write_bytes(graph)
    loaded = Graph(path)
    assert loaded.inputs.keys() == inputs.keys()
    assert loaded.outputs[CONFIDENCES][1][1:] == (LABELS,)


def test_a_branch_hears_its_view_alone():
    """Two views of one embedding are two branches; what lies in neither moves nothing."""
    rows, targets = make_rows(240)
    views = (EmbeddingView(name="low", start=0, stop=3), EmbeddingView(name="high", start=4, stop=8))
    rows = dataclasses.replace(rows, views={Modality.IMAGE: views})
    head = trained(rows, targets)
    assert head.branches.names == (TERMS, Modality.TEXT, "image:low", "image:high")
    inputs, which = golden_inputs(rows, np.arange(240), hashed_features(LABELS, 64), head.gate.modalities)
    wanted = expected(head, rows, which, inputs[PRESENCE])
    graph = export_head(head, LABELS)
    check_parity(graph, inputs, wanted)
    name = embedding_input(Modality.IMAGE)
    for column, moves in ((3, False), (0, True), (7, True)):
        changed = inputs[name].copy()
        changed[:, column] += 5.0
        assert np.allclose(run(graph, {**inputs, name: changed}), wanted, atol=1e-4) is not moves


def test_an_item_without_terms_or_without_anything():
    """Text without a single term gives finite confidences; without any modality they are the priors."""
    rows, targets = make_rows(240)
    head = trained(rows, targets)
    inputs, _ = golden_inputs(rows, np.arange(240), hashed_features(LABELS, 64), head.gate.modalities)
    blank = {name: np.zeros_like(value[:2]) for name, value in inputs.items()}
    blank[PRESENCE][1, 0] = 1.0
    found = run(export_head(head, LABELS), blank)
    assert np.isfinite(found).all()
    assert found[0] == pytest.approx(targets.mean(axis=0), abs=0.01)


def test_a_graph_that_says_something_else_is_refused():
    """A changed constant in the graph is found, and so is a NaN."""
    rows, targets = make_rows(240)
    head = trained(rows, targets)
    inputs, which = golden_inputs(rows, np.arange(240), hashed_features(LABELS, 64), head.gate.modalities)
    wanted = expected(head, rows, which, inputs[PRESENCE])
    model = onnx.load_from_string(export_head(head, LABELS))
    for constant in model.graph.initializer:
        if constant.name == "bias":
            changed = onnx.numpy_helper.to_array(constant) + 0.1
            constant.CopyFrom(onnx.numpy_helper.from_array(changed.astype(np.float32), "bias"))
    with pytest.raises(TrainingError, match=r"the exported graph differs from the trained head by 0\.0"):
        check_parity(model.SerializeToString(), inputs, wanted)
    with pytest.raises(TrainingError, match="differs from the trained head by nan"):
        check_parity(export_head(head, LABELS), inputs, np.full_like(wanted, np.nan))


def run(graph: bytes, inputs: dict[str, np.ndarray]) -> np.ndarray:
    from onnxruntime import InferenceSession

    session = InferenceSession(graph, providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run([CONFIDENCES], inputs)[0]
    return found
