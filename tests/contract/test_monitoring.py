"""Alert rules and dashboard: every query is PromQL over metrics that exist, with labels that they have."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from genrestream.ops import monitoring
from genrestream.ops.monitoring.dashboard import COLUMNS, COMMAND, FILE, dashboard, text
from genrestream.ops.monitoring.panels import ROWS
from genrestream.schemas.items import Kind
from genrestream.workers.metrics import METRICS, Metric
from genrestream.workers.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
FOLDER = Path(monitoring.__file__).parent
ALERTS = FOLDER / "alerts.yml"
ALERT_TESTS = Path(__file__).with_name("alerts_test.yml")

TARGET_LABELS = {"job", "instance"}
"""What Prometheus itself adds to each series."""
PLATFORM = {
    "up": {"job", "instance"},
    "process_cpu_seconds_total": TARGET_LABELS,
    "process_resident_memory_bytes": TARGET_LABELS,
}
"""Metrics of Prometheus and its client library, with their labels."""
TRITON = {
    name: TARGET_LABELS | {"model", "version"}
    for name in ("nv_inference_count", "nv_inference_queue_duration_us", "nv_inference_request_success")
}
"""Metrics of Triton; tests/integration/ops/test_stack_triton_metrics.py asks a real server for them."""


def series() -> dict[str, Metric]:
    """Each metric of a worker by the names of its series."""
    named = {}
    for metric in METRICS:
        endings = ("_bucket", "_sum", "_count") if metric.type == "histogram" else ("",)
        named |= {metric.name + ending: metric for ending in endings}
    return named


SERIES = series()


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in json.loads(FILE.read_text())["panels"] if panel["type"] != "row"]


def queries() -> Iterator[tuple[str, str]]:
    """Every query with the place it stands in."""
    for rule in rules():
        yield rule["alert"], rule["expr"]
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")


QUERIES = dict.fromkeys(queries())


def selectors(expression: Any) -> Iterator[promql_parser.VectorSelector]:
    """All the series that an expression selects."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
        return
    for attribute in ("lhs", "rhs", "expr", "vector_selector", "param"):
        if (inside := getattr(expression, attribute, None)) is not None:
            yield from selectors(inside)
    for argument in getattr(expression, "args", None) or ():
        yield from selectors(argument)


def labels_of(name: str) -> set[str]:
    """The labels that a series of this name has."""
    if name in PLATFORM or name in TRITON:
        return (PLATFORM | TRITON)[name]
    bucket = {"le"} if name.endswith("_bucket") else set()
    return set(SERIES[name].labels) | TARGET_LABELS | bucket


@pytest.mark.parametrize(("place", "query"), QUERIES, ids=lambda value: value[:40])
def test_query_selects_what_exists(place, query):
    """A query is valid PromQL; its metrics, labels and label values are those of docs/metrics.md."""
    found = list(selectors(promql_parser.parse(query)))
    assert found, place
    for selector in found:
        known = selector.name in SERIES or selector.name in PLATFORM or selector.name in TRITON
        assert known, f"{place}: no metric {selector.name}"
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels_of(selector.name), f"{place}: {selector.name} has no {matcher.name}"
            allowed = SERIES[selector.name].labels.get(matcher.name) if selector.name in SERIES else None
            if allowed and not matcher.value.startswith("$"):
                assert set(matcher.value.split("|")) <= set(allowed), f"{place}: {matcher.value}"


@pytest.mark.parametrize(("place", "query"), QUERIES, ids=lambda value: value[:40])
def test_query_groups_by_labels_that_exist(place, query):
    """What a query groups by are labels of the metrics in it; else all would fall into one nameless group."""
    names = {selector.name for selector in selectors(promql_parser.parse(query))}
    known = set.union(*(labels_of(name) for name in names))
    grouped = {
        label.strip()
        for labels in re.findall(r"\b(?:by|on|group_left) ?\(([^)]*)\)", query)
        for label in labels.split(",")
        if label.strip()
    }
    assert grouped <= known, place


def test_parser_tells_wrong_queries():
    """The check is no empty one: broken PromQL is refused, and a metric of nobody is seen."""
    with pytest.raises(ValueError, match="unclosed left parenthesis"):
        promql_parser.parse("sum(rate(genrestream_items_total[5m])")
    unknown = next(selectors(promql_parser.parse("rate(genrestream_item_total[5m]) > 0")))
    assert unknown.name not in SERIES


def test_every_metric_is_shown():
    """Each metric of a worker is in the dashboard or an alert; the rest would be measured for nobody."""
    everywhere = " ".join(query for _, query in QUERIES) + json.dumps(dashboard()["templating"])
    assert [metric.name for metric in METRICS if metric.name not in everywhere] == []


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_alert_says_what_to_do(rule):
    """An alert has a severity, a summary in one line, and a description."""
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary", "description"}
    assert "\n" not in rule["annotations"]["summary"]


def test_alerts_cover_every_kind():
    """The rule on live releases names each kind: an absent series cannot be grouped by."""
    rule = next(rule for rule in rules() if rule["alert"] == "GenrestreamNoLiveRelease")
    assert set(re.findall(r'kind="(\w+)"', rule["expr"])) == set(Kind)


def test_alerts_fire_when_they_should():
    """The rules fire on the series of alerts_test.yml, and are silent when all is well (promtool)."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on the PATH; it comes with Debian's package prometheus")
    for command in (["check", "rules", str(ALERTS)], ["test", "rules", str(ALERT_TESTS)]):
        done = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried():
    """alerts_test.yml has a case in which each alert fires."""
    tried = set(re.findall(r'alertname="(\w+)"', ALERT_TESTS.read_text()))
    assert tried == {rule["alert"] for rule in rules()}


def test_dashboard_is_fresh():
    """The JSON is what panels.py says now, and says so itself."""
    assert FILE.read_text() == text(), f"run `{COMMAND}`"
    assert json.loads(FILE.read_text())["description"] == f"Generated by `{COMMAND}`; do not edit."


def test_panels_do_not_overlap():
    """Every panel lies inside the 24 columns and shares no cell with another; ids are unique."""
    placed = json.loads(FILE.read_text())["panels"]
    cells = [
        (column, line)
        for at in (panel["gridPos"] for panel in placed)
        for column in range(at["x"], at["x"] + at["w"])
        for line in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(column for column, _ in cells) < COLUMNS
    assert len({panel["id"] for panel in placed}) == len(placed)


def test_rows_say_what_they_are_for():
    """The rows that operators were promised are there, and every panel explains itself."""
    assert [row.title for row in ROWS] == [
        "At a glance",
        "Throughput",
        "Latency",
        "Lag",
        "Dead letters and retries",
        "Missing modalities",
        "Label cache",
        "Releases",
        "Triton and the workers' processes",
    ]
    assert all(panel["description"].endswith(".") for panel in panels())


def test_prometheus_reads_what_compose_runs():
    """Prometheus scrapes the services of compose.yaml at the workers' port, and loads the rules beside it."""
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    workers = jobs["genrestream-workers"]["dns_sd_configs"][0]
    assert workers["names"] == ["worker"]
    assert workers["port"] == WorkerSettings.model_fields["http_port"].default
    assert services["worker"]["expose"] == [str(workers["port"])]
    aliases = services["triton-cpu"]["networks"]["default"]["aliases"]
    assert jobs["triton"]["dns_sd_configs"][0]["names"] == aliases
    mounted = [volume.split(":")[1] for volume in services["prometheus"]["volumes"]]
    assert [f"/etc/prometheus/{file}" for file in config["rule_files"]] == [mounted[1]]


def test_grafana_finds_what_is_provisioned():
    """The data source and the dashboards are where compose.yaml mounts them."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    provisioning = FOLDER / "grafana" / "provisioning"
    source = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"][0]
    assert source["type"] == "prometheus"
    assert source["url"] == "http://prometheus:9090"
    provider = yaml.safe_load((provisioning / "dashboards" / "genrestream.yml").read_text())["providers"][0]
    mounted = dict(volume.removesuffix(":ro").split(":") for volume in services["grafana"]["volumes"])
    assert mounted["./genrestream/ops/monitoring/grafana/dashboards"] == provider["options"]["path"]
    assert mounted["./genrestream/ops/monitoring/grafana/provisioning"] == "/etc/grafana/provisioning"
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/{FILE.name}"
