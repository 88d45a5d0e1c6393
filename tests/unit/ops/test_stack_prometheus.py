"""Prometheus: what it scrapes, and how a worker makes itself known."""

import json
from pathlib import Path

from genrestream.ops import prometheus


def test_workers_are_found_by_the_files_they_leave(tmp_path):
    """The file names the address and the worker; the configuration reads that folder, and Triton."""
    file = prometheus.register_worker(tmp_path, "worker-1", "127.0.0.1:6066")
    assert json.loads(file.read_text()) == [{"targets": ["127.0.0.1:6066"], "labels": {"worker": "worker-1"}}]
    jobs = {
        job["job_name"]: job
        for job in prometheus.configuration(tmp_path, "http://127.0.0.1:8002/metrics")["scrape_configs"]
    }
    assert jobs["genrestream-workers"]["file_sd_configs"][0]["files"] == [f"{file.parent}/*.json"]
    assert jobs["triton"]["static_configs"] == [{"targets": ["127.0.0.1:8002"]}]
    # Nothing half-written is ever read.
    assert [path.name for path in file.parent.iterdir()] == ["worker-1.json"]


def test_an_external_triton_is_not_scraped(tmp_path):
    """Where its metrics are is not known."""
    jobs = prometheus.configuration(tmp_path, None)["scrape_configs"]
    assert [job["job_name"] for job in jobs] == ["genrestream-workers"]


def test_alert_rules_are_loaded(tmp_path):
    """The local Prometheus has the same alert rules as the one of compose.yaml, on the same job."""
    (rules,) = prometheus.configuration(tmp_path, None)["rule_files"]
    assert 'up{job="genrestream-workers"}' in Path(rules).read_text()


def test_the_stack_runs_without_prometheus(monkeypatch, tmp_path):
    """Where there is none on the PATH there is no server to start."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert prometheus.find_program() is None
