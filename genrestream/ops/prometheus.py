"""Prometheus, where there is one on the PATH: scrapes Triton and the workers that leave their address."""

import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from genrestream.ops.ports import HOST, Ports
from genrestream.ops.server import Server

USUAL_PORT = 9090
WORKER_PORT = 9464
"""Where a worker serves its metrics when nobody says otherwise."""

RETENTION = "2d"
ALERTS = Path(__file__).parent / "monitoring" / "alerts.yml"
"""The alert rules that compose.yaml's Prometheus has too."""


def find_program() -> Path | None:
    """The program, or None: the stack runs without it."""
    found = shutil.which("prometheus")
    return Path(found) if found else None


def targets_dir(directory: Path) -> Path:
    """Where workers leave a file with the address of their metrics."""
    return directory / "prometheus" / "workers"


def register_worker(directory: Path, name: str, address: str) -> Path:
    """Tells Prometheus of a worker's metrics at `host:port`; delete the returned file when it ends."""
    folder = targets_dir(directory)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.json"
    partial = folder / f".{name}.partial"
    partial.write_text(json.dumps([{"targets": [address], "labels": {"worker": name}}]), encoding="utf-8")
    partial.replace(file)
    return file


def configuration(directory: Path, triton_metrics: str | None) -> dict[str, object]:
    """The content of `prometheus.yml`."""
    jobs: list[dict[str, object]] = [
        {
            "job_name": "genrestream-workers",
            "file_sd_configs": [
                {"files": [f"{targets_dir(directory).absolute()}/*.json"], "refresh_interval": "5s"}
            ],
        }
    ]
    if triton_metrics:
        address = triton_metrics.removeprefix("http://").removesuffix("/metrics")
        jobs.append({"job_name": "triton", "static_configs": [{"targets": [address]}]})
    return {
        "global": {"scrape_interval": "5s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": jobs,
    }


def answers(url: str, timeout_s: float = 2.0) -> bool:
    """Whether the server is ready for queries."""
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=timeout_s) as response:  # noqa: S310
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def server(directory: Path, ports: Ports, triton_metrics: str | None) -> Server | None:
    """Prometheus with its data under `directory/prometheus`, or None where it is not installed."""
    program = find_program()
    if program is None:
        return None
    folder = directory / "prometheus"
    register_worker(directory, "default", f"{HOST}:{WORKER_PORT}")
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump(configuration(directory, triton_metrics)), encoding="utf-8")
    shown = subprocess.run(
        [str(program), "--version"], capture_output=True, text=True, timeout=20, check=False
    )
    version = re.search(r"version (\S+)", shown.stdout + shown.stderr)
    url = f"http://{HOST}:{ports.choose(USUAL_PORT)}"
    return Server(
        name="prometheus",
        title=f"Prometheus {version[1] if version else ''}".rstrip(),
        argv=(
            str(program),
            f"--config.file={config.absolute()}",
            f"--storage.tsdb.path={(folder / 'data').absolute()}",
            f"--storage.tsdb.retention.time={RETENTION}",
            f"--web.listen-address={url.removeprefix('http://')}",
        ),
        cwd=folder,
        log=directory / "logs" / "prometheus.log",
        addresses={"url": url},
        ready=lambda: answers(url),
        start_timeout_s=30.0,
    )
