"""The ONNX Runtime backend on the real Triton: batches, data types, errors, versions under traffic."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import graphs
import numpy as np
import pytest
from tritonclient.grpc import InferInput, InferRequestedOutput
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

pytestmark = pytest.mark.stack

X = [("x", "FP32", "4")]
Y = [("y", "FP32", "4")]


@pytest.fixture
async def client(stack) -> AsyncIterator[InferenceServerClient]:
    async with InferenceServerClient(stack.triton_url) as connected:
        yield connected


async def infer(client, model, outputs, version="1", **arrays):
    """The named outputs, of the version named."""
    inputs = []
    for name, array in arrays.items():
        tensor = InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    wanted = [InferRequestedOutput(name) for name in outputs]
    answer = await client.infer(model, inputs, model_version=version, outputs=wanted, client_timeout=30)
    return [answer.as_numpy(name) for name in outputs]


async def test_each_request_of_a_batch_gets_its_own_rows(client, graphs_dir: Path):
    """300 requests at once, of one to five items each: every one has twice its own numbers back."""
    graphs.write_scale(graphs_dir, "rows", 1, 2.0)
    graphs.write_config(graphs_dir, "rows", X, Y)
    await client.load_model("rows")
    sent = [np.full((1 + n % 5, 4), n, np.float32) for n in range(300)]
    got = await asyncio.gather(*[infer(client, "rows", ["y"], x=x) for x in sent])
    for x, (y,) in zip(sent, got, strict=True):
        np.testing.assert_array_equal(y, x * 2)
    statistics = await client.get_inference_statistics("rows", as_json=True)
    [model] = statistics["model_stats"]
    assert int(model["inference_count"]) == 900  # 60 times 1+2+3+4+5 items
    # The dynamic batcher did put requests together: fewer runs than requests.
    assert int(model["execution_count"]) < 300


async def test_every_data_type_of_the_project_arrives_as_sent(client, graphs_dir: Path):
    """Bytes, both integers and float32, at the ends of their ranges where float32 holds those exactly."""
    graphs.write_casts(graphs_dir, "casts")
    names = {"u": "UINT8", "i": "INT32", "l": "INT64", "f": "FP32"}
    graphs.write_config(
        graphs_dir,
        "casts",
        [(name, kind, "3") for name, kind in names.items()],
        [(f"{name}_out", "FP32", "3") for name in names],
    )
    await client.load_model("casts")
    sent = {
        "u": np.array([[0, 7, 255]], np.uint8),
        "i": np.array([[-(2**31), 0, 2**24]], np.int32),
        "l": np.array([[-(2**63), 0, 2**40]], np.int64),
        "f": np.array([[-1.5, 0.0, 3.25]], np.float32),
    }
    # In another order than the configuration's, and not all of them.
    for outputs in (["f_out", "u_out", "l_out", "i_out"], ["l_out"]):
        for name, array in zip(outputs, await infer(client, "casts", outputs, **sent), strict=True):
            np.testing.assert_array_equal(array, sent[name.removesuffix("_out")].astype(np.float32))


async def test_a_bad_request_fails_alone(client, graphs_dir: Path):
    """Of 40 requests at once, four ask for a row that is not there: only those get an error."""
    graphs.write_lookup(graphs_dir, "lookup")
    graphs.write_config(graphs_dir, "lookup", [("ids", "INT64", "-1")], [("rows", "FP32", "-1, 2")])
    await client.load_model("lookup")
    ids = [99 if n % 10 == 3 else n % 3 for n in range(40)]
    got = await asyncio.gather(
        *[infer(client, "lookup", ["rows"], ids=np.array([[wanted]], np.int64)) for wanted in ids],
        return_exceptions=True,
    )
    for wanted, outcome in zip(ids, got, strict=True):
        if wanted == 99:
            assert isinstance(outcome, InferenceServerException)
            assert "indices element out of data bounds" in outcome.message()
        else:
            np.testing.assert_array_equal(outcome[0], [[[wanted, wanted + 10]]])


async def test_requests_of_different_lengths_at_once(client, graphs_dir: Path):
    """A dimension that varies from request to request: each answer has its request's length."""
    graphs.write_lookup(graphs_dir, "lengths")
    graphs.write_config(graphs_dir, "lengths", [("ids", "INT64", "-1")], [("rows", "FP32", "-1, 2")])
    await client.load_model("lengths")
    sent = [np.full((1, 1 + n % 7), n % 3, np.int64) for n in range(60)]
    got = await asyncio.gather(*[infer(client, "lengths", ["rows"], ids=ids) for ids in sent])
    for ids, (rows,) in zip(sent, got, strict=True):
        assert rows.shape == (1, ids.shape[1], 2)
        assert (rows[..., 0] == ids).all()


async def test_a_configuration_that_is_not_the_graphs_fails_to_load(client, graphs_dir: Path):
    """The error names the tensor; the server goes on."""
    graphs.write_scale(graphs_dir, "wrong", 1, 1.0)
    graphs.write_config(graphs_dir, "wrong", [("z", "FP32", "4")], Y)
    with pytest.raises(
        InferenceServerException, match=r"config.pbtxt and the graph disagree on \['x', 'z'\]"
    ):
        await client.load_model("wrong")
    assert await client.is_server_ready(), "one bad model made the server unready"


async def test_a_broken_graph_fails_to_load(client, graphs_dir: Path):
    """Triton reports the load as failed and goes on."""
    graphs.write_config(graphs_dir, "broken", X, Y)
    (graphs_dir / "broken" / "1").mkdir()
    (graphs_dir / "broken" / "1" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(InferenceServerException, match="Protobuf parsing failed"):
        await client.load_model("broken")
    assert await client.is_server_ready()


async def test_a_version_is_added_and_taken_away_under_traffic(client, graphs_dir: Path):
    """Requests pinned to version 1 never fail while version 2 is loaded and taken away again."""
    graphs.write_scale(graphs_dir, "versions", 1, 1.0)
    graphs.write_config(graphs_dir, "versions", X, Y)
    await client.load_model("versions")
    ones = np.ones((1, 4), np.float32)
    answered, stop = 0, asyncio.Event()

    async def traffic() -> None:
        nonlocal answered
        while not stop.is_set():
            [y] = await infer(client, "versions", ["y"], x=ones)
            assert (y == 1.0).all()
            answered += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(traffic())
        for round_ in range(3):
            before = answered
            graphs.write_scale(graphs_dir, "versions", 2, 2.0)
            graphs.write_config(graphs_dir, "versions", X, Y, versions=(1, 2))
            await client.load_model("versions")
            [y] = await infer(client, "versions", ["y"], version="2", x=ones)
            assert (y == 2.0).all(), f"round {round_}"
            graphs.write_config(graphs_dir, "versions", X, Y)
            await client.load_model("versions")
            assert not await client.is_model_ready("versions", "2")
            assert answered > before, "the traffic stood still"
        stop.set()
    assert await client.is_model_ready("versions", "1")
