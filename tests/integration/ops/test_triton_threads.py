"""The ONNX Runtime backend where an instance has several cores: a batch is cut, its runs go side by side."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import graphs
import numpy as np
import psutil
import pytest
from test_stack_triton import X, Y, infer
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from genrestream.ops.process import marked
from genrestream.ops.stack import local_stack
from genrestream.ops.state import External, StackState
from genrestream.ops.triton import CPU_INSTANCES

pytestmark = pytest.mark.stack

THREADS = 3


@pytest.fixture
async def triton(stack: StackState, tmp_path: Path, monkeypatch) -> AsyncIterator[StackState]:
    """A Triton that believes in cores enough for three threads an instance."""
    cores = set(range(CPU_INSTANCES * THREADS))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: cores)
    external = External(kafka_bootstrap=stack.kafka_bootstrap, redis_url=stack.redis_url)
    (tmp_path / "models").mkdir()
    with local_stack(tmp_path / "stack", tmp_path / "models", external=external) as state:
        yield state


def count_threads(marker: str, model: str) -> int:
    """Threads of all instances of a model."""
    stubs = [psutil.Process(each.pid) for each in marked(marker)]
    return sum(stub.num_threads() for stub in stubs if any(model in part for part in stub.cmdline()[1:]))


async def test_runs_side_by_side_keep_rows_and_errors_apart(triton: StackState, tmp_path: Path) -> None:
    """Of a batch of 64 every row comes back in its place, worked off by more threads than instances; one
    bad row fails its own request, and no other of the batch.
    """
    models = tmp_path / "models"
    graphs.write_scale(models, "scale", 1, 2.0)
    graphs.write_config(models, "scale", X, Y)
    graphs.write_lookup(models, "lookup")
    graphs.write_config(models, "lookup", [("ids", "INT64", "-1")], [("rows", "FP32", "-1, 2")])
    async with InferenceServerClient(triton.triton_url) as client:
        await client.load_model("scale")
        at_rest = count_threads(triton.marker, "scale")
        x = np.arange(256, dtype=np.float32).reshape(64, 4)
        give_up_s = time.monotonic() + 30
        # A pool starts a thread when none is idle, which runs as short as these leave to chance.
        while count_threads(triton.marker, "scale") < at_rest + THREADS:
            assert time.monotonic() < give_up_s, "each instance runs on one thread"
            [y] = await infer(client, "scale", ["y"], x=x)
            np.testing.assert_array_equal(y, x * 2)
        assert count_threads(triton.marker, "scale") <= at_rest + CPU_INSTANCES * THREADS

        await client.load_model("lookup")
        ids = [np.full((8, 1), 99 if number == 5 else number % 3, np.int64) for number in range(12)]
        answers = await asyncio.gather(
            *(infer(client, "lookup", ["rows"], ids=each) for each in ids), return_exceptions=True
        )
    for wanted, answer in zip(ids, answers, strict=True):
        if wanted[0, 0] == 99:
            assert isinstance(answer, InferenceServerException)
        else:
            np.testing.assert_array_equal(answer[0][..., 0], wanted)
