"""What the dashboard shows of Triton is what a real Triton tells."""

import re
import urllib.request
from pathlib import Path

import graphs
import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput

from genrestream.ops.monitoring.panels import ROWS

pytestmark = pytest.mark.stack


def test_triton_has_the_metrics_that_are_shown(stack, graphs_dir: Path):
    """Each metric that a panel asks of Triton is there, by model, once a model has answered."""
    graphs.write_scale(graphs_dir, "metered", 1, 2.0)
    graphs.write_config(graphs_dir, "metered", [("x", "FP32", "4")], [("y", "FP32", "4")])
    tensor = InferInput("x", [1, 4], "FP32")
    tensor.set_data_from_numpy(np.ones((1, 4), np.float32))
    with InferenceServerClient(stack.triton_url) as client:
        client.load_model("metered")
        client.infer("metered", [tensor])
    address = next(server.addresses["metrics"] for server in stack.servers if server.name == "triton")
    with urllib.request.urlopen(address, timeout=10) as answer:
        served = answer.read().decode()
    shown = {
        name
        for row in ROWS
        for panel in row.panels
        for query in panel.queries
        for name in re.findall(r"\bnv_\w+", query.expr)
    }
    assert shown == {"nv_inference_count", "nv_inference_queue_duration_us", "nv_inference_request_success"}
    assert {name for name in shown if f'{name}{{model="metered",version="1"}} ' not in served} == set()
