"""NVIDIA Triton: the real server from the wheel `nvidia-pytriton`, and our ONNX Runtime backend for it.

The wheel brings no ONNX Runtime backend. Triton takes a folder with a `model.py` in its place, served by its
Python backend; the model repository stays as the official image serves it.
"""

import os
import shutil
import sysconfig
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from genrestream.ops import interpreter
from genrestream.ops.errors import StackError
from genrestream.ops.ports import HOST, Ports
from genrestream.ops.process import shared_memory_prefix
from genrestream.ops.server import Server
from genrestream.tools import servers_dir

USUAL_GRPC_PORT, USUAL_HTTP_PORT, USUAL_METRICS_PORT = 8001, 8000, 8002
OUR_BACKEND = Path(__file__).with_name("triton_backend") / "onnxruntime"
EXIT_TIMEOUT_S = 5
SHARED_MEMORY_BYTES = 1024 * 1024
"""What each instance begins with in /dev/shm; it grows by what its batches need."""

CPU_INSTANCES = 2
"""As many of an ONNX Runtime model does Triton start on a CPU where its configuration states none. They share
the cores: with a thread a core each, events were 5 % slower."""

KEPT_BYTES = 16 * 1024 * 1024
"""Freed memory that a process hands out again: fresh pages cost more than the tensors that fill them."""


def find_program() -> Path:
    """The server's program.

    Raises `StackError` where it has not been installed, or lacks the interpreter's library.
    """
    program = servers_dir() / "pytriton" / "tritonserver" / "bin" / "tritonserver"
    if not program.is_file():
        raise StackError("Triton is not installed: run `make setup`, or set TRITON_URL to a server you have")
    if not interpreter.has_library():
        raise StackError(interpreter.missing_library())
    return program


def _lay_out_backends(folder: Path) -> Path:
    """A backend directory: the wheel's Python backend with this interpreter's stub, and ours.

    Copies of 3 MB: Triton refuses links that lead out of the directory.
    """
    wheel = servers_dir() / "pytriton" / "tritonserver"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(wheel / "backends" / "python", folder / "python")
    stubs = wheel / "python_backend_stubs" / interpreter.MINOR
    shutil.copy(stubs / "triton_python_backend_stub", folder / "python")
    shutil.copytree(OUR_BACKEND, folder / "onnxruntime", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def answers_http(url: str, timeout_s: float = 2.0) -> bool:
    """Whether the server takes requests; those it was told to load at its start are loaded then."""
    try:
        with urllib.request.urlopen(f"{url}/v2/health/ready", timeout=timeout_s) as response:  # noqa: S310
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def answers_grpc(address: str, timeout_s: float = 2.0, security: Mapping[str, Any] | None = None) -> bool:
    """Whether a Triton server says over gRPC that it is ready.

    `security` holds the client's arguments of that kind.
    """
    client = InferenceServerClient(address, **(security or {}))
    try:
        return bool(client.is_server_ready(client_timeout=timeout_s))
    except InferenceServerException:
        return False
    finally:
        client.close()


def server(directory: Path, models: Path, load: Sequence[str], ports: Ports, marker: str) -> Server:
    """Triton over the model repository `models`, with the models named in `load` loaded from the start.

    Its shared memory is named by the stack's marker. Raises `StackError` when something is missing.
    """
    program = find_program()
    if not models.is_dir():
        raise StackError(f"no model repository at {models}")
    folder = directory / "triton"
    backends = _lay_out_backends(folder / "backends")
    grpc, http = ports.choose(USUAL_GRPC_PORT), ports.choose(USUAL_HTTP_PORT)
    metrics = ports.choose(USUAL_METRICS_PORT)
    options = {
        "model-repository": models.absolute(),
        "backend-directory": backends.absolute(),
        "model-control-mode": "explicit",
        # A candidate that cannot be loaded does not make the server unready for those that are.
        "strict-readiness": "false",
        # A newly loaded version waits for nothing else: several stubs start at once.
        "model-load-thread-count": 4,
        "grpc-address": HOST,
        "grpc-port": grpc,
        "http-address": HOST,
        "http-port": http,
        "metrics-address": HOST,
        "metrics-port": metrics,
        "allow-gpu-metrics": "false",
        "pinned-memory-pool-byte-size": 0,
        "exit-timeout-secs": EXIT_TIMEOUT_S,
    }
    # The repository's configurations are complete: completing them would start one more process a model.
    argv = [str(program), "--disable-auto-complete-config"]
    argv += [f"--{name}={value}" for name, value in options.items()]
    argv.append(f"--backend-config=python,shm-default-byte-size={SHARED_MEMORY_BYTES}")
    argv.append(f"--backend-config=python,shm-region-prefix-name={shared_memory_prefix(marker)}")
    argv += [f"--load-model={name}" for name in load]
    libraries = [interpreter.library_dir(), servers_dir() / "nvidia_pytriton.libs"]
    return Server(
        name="triton",
        title="Triton 2.51",
        argv=tuple(argv),
        cwd=folder,
        log=directory / "logs" / "triton.log",
        addresses={
            "grpc": f"{HOST}:{grpc}",
            "http": f"http://{HOST}:{http}",
            "metrics": f"http://{HOST}:{metrics}/metrics",
        },
        ready=lambda: answers_http(f"http://{HOST}:{http}"),
        env={
            "LD_LIBRARY_PATH": ":".join(str(path) for path in libraries if path),
            # The embedded interpreter leaves PYTHONPATH alone; our backend reads this one.
            "GENRESTREAM_SITE_PACKAGES": sysconfig.get_path("platlib"),
            "GENRESTREAM_ONNXRUNTIME_THREADS": str(max(1, len(os.sched_getaffinity(0)) // CPU_INSTANCES)),
            # Each process keeps two malloc arenas instead of eight a core, and what a batch freed.
            "MALLOC_ARENA_MAX": "2",
            "MALLOC_MMAP_THRESHOLD_": str(KEPT_BYTES),
            "MALLOC_TRIM_THRESHOLD_": str(KEPT_BYTES),
        },
        start_timeout_s=120.0,
    )
