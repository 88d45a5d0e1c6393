"""All metrics of a worker, declared in one table; `docs/metrics.md` is generated from it.

Names follow Prometheus: base units, `_total` on counters, labels from closed lists, or bounded by what is
configured (topics, partitions, releases). Write the table of the documentation with
`python -m genrestream.workers.metrics > docs/metrics.md`.
"""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any, Literal, NamedTuple, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from genrestream.schemas.dead_letters import DeadLetterCode
from genrestream.schemas.items import Kind, Modality
from genrestream.schemas.labels import MissingReason
from genrestream.schemas.releases import Release
from genrestream.workers.observe import Stage
from genrestream.workers.protocols import CacheOutcome, Reading

Retried = Literal["kafka", "triton", "redis", "media", "releases"]
"""What is tried again; a metric's label."""

Guarded = Literal["triton", "media"]
"""What is left alone for a while after many failures; a metric's label."""

STAGE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ARRIVAL_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 24, 32, 64, 128, 256)


class Metric(NamedTuple):
    """A row of the table."""

    name: str
    """As Prometheus shows it; of a histogram without `_bucket`, `_sum`, `_count`."""
    type: Literal["counter", "gauge", "histogram"]
    help: str
    labels: dict[str, tuple[str, ...]] = {}  # noqa: RUF012 - the table is never changed
    """The closed list of each label's values; an empty one is bounded by what is configured.

    Series of closed lists are there from the start, so that their first increase is seen."""
    buckets: tuple[float, ...] = ()


KINDS: dict[str, tuple[str, ...]] = {"kind": tuple(Kind)}

ITEMS = Metric(
    "genrestream_items_total",
    "counter",
    "Messages taken to their end, by how they ended.",
    KINDS | {"outcome": ("labelled", "removed", "dead_lettered", "superseded")},
)
ITEMS_REUSED = Metric(
    "genrestream_items_reused_total",
    "counter",
    "Items answered by their earlier labels: the content and the live releases were the same.",
    KINDS,
)
SHARED_EMBEDDINGS = Metric(
    "genrestream_shared_embeddings_total",
    "counter",
    "Media whose embeddings were known, in Redis or the same micro-batch (hit), or had to be made (miss).",
    {"modality": (Modality.IMAGE, Modality.AUDIO), "outcome": ("hit", "miss")},
)
PICTURE_TEXTS = Metric(
    "genrestream_picture_texts_total",
    "counter",
    "Pictures whose text a live head can use, of items without another, by what came of it.",
    {"outcome": tuple(Reading)},
)
STAGE_SECONDS = Metric(
    "genrestream_stage_seconds",
    "histogram",
    "Time in a stage: of one item, or of its batch in features, encode, fuse and cache.",
    {"stage": tuple(Stage)},
    STAGE_BUCKETS_S,
)
ARRIVAL_TO_LABEL_SECONDS = Metric(
    "genrestream_arrival_to_label_seconds",
    "histogram",
    "From Kafka's time stamp of the item to the acknowledgement of its labels.",
    KINDS,
    ARRIVAL_BUCKETS_S,
)
IN_FLIGHT = Metric("genrestream_items_in_flight", "gauge", "Items between arrival and acknowledgement.")
OLDEST_IN_FLIGHT_SECONDS = Metric(
    "genrestream_oldest_item_in_flight_seconds",
    "gauge",
    "Age of the oldest item in flight; 0 when there is none.",
)
CONSUMER_LAG = Metric(
    "genrestream_consumer_lag_messages",
    "gauge",
    "Messages of an assigned partition that are not committed yet.",
    {"topic": (), "partition": ()},
)
RETRIES = Metric(
    "genrestream_retries_total",
    "counter",
    "Attempts that failed and are made again.",
    {"target": get_args(Retried)},
)
OPEN_CIRCUITS = Metric(
    "genrestream_open_circuits",
    "gauge",
    "Kinds whose inference, or media hosts, that are left alone after many failures until one is answered.",
    {"target": get_args(Guarded)},
)
DEAD_LETTERS = Metric(
    "genrestream_dead_letters_total",
    "counter",
    "Messages dead-lettered.",
    {"code": tuple(DeadLetterCode)},
)
MODALITY_MISSING = Metric(
    "genrestream_modality_missing_total",
    "counter",
    "Label records that do not rest on the modality.",
    {"modality": tuple(Modality), "reason": tuple(MissingReason)},
)
RELEASE_LIVE = Metric(
    "genrestream_release_live",
    "gauge",
    "1 for each version of a head that labels items now.",
    KINDS | {"task": (), "model": (), "version": ()},
)
RELEASE_PENDING = Metric(
    "genrestream_release_pending",
    "gauge",
    "1 while an announced release cannot go live: Triton is not ready for it, or files are missing.",
    KINDS | {"task": ()},
)
CACHE_WRITES = Metric(
    "genrestream_cache_writes_total",
    "counter",
    "Writes to the label cache, removals and repeated attempts included.",
    {"outcome": tuple(CacheOutcome)},
)
CACHE_LAG = Metric(
    "genrestream_cache_lag_messages",
    "gauge",
    "Messages of the label topic, of this worker's share, that are not in Redis yet.",
)
MEDIA_BYTES = Metric(
    "genrestream_media_bytes_total",
    "counter",
    "Bytes of media read for labelling.",
    {"modality": (Modality.IMAGE, Modality.AUDIO)},
)
BATCH_ITEMS = Metric("genrestream_batch_items", "histogram", "Items in a micro-batch.", KINDS, BATCH_BUCKETS)
FEATURE_RESTARTS = Metric(
    "genrestream_feature_process_restarts_total",
    "counter",
    "Feature processes replaced: they crashed, also at rest, missed a deadline or took too much memory.",
    {"reason": (MissingReason.CRASHED, MissingReason.TIMEOUT, MissingReason.TOO_LARGE)},
)
TASKS = Metric("genrestream_tasks", "gauge", "Tasks of the event loop.")
READY = Metric(
    "genrestream_worker_ready", "gauge", "1 while the worker can label: `/health/ready` answers with 200."
)
INFO = Metric(
    "genrestream_worker_info", "gauge", "1, with the version of the worker's code.", {"version": ()}
)

METRICS: tuple[Metric, ...] = (
    ITEMS,
    ITEMS_REUSED,
    SHARED_EMBEDDINGS,
    PICTURE_TEXTS,
    STAGE_SECONDS,
    ARRIVAL_TO_LABEL_SECONDS,
    IN_FLIGHT,
    OLDEST_IN_FLIGHT_SECONDS,
    CONSUMER_LAG,
    RETRIES,
    OPEN_CIRCUITS,
    DEAD_LETTERS,
    MODALITY_MISSING,
    RELEASE_LIVE,
    RELEASE_PENDING,
    CACHE_WRITES,
    CACHE_LAG,
    MEDIA_BYTES,
    BATCH_ITEMS,
    FEATURE_RESTARTS,
    TASKS,
    READY,
    INFO,
)


class WorkerMetrics:
    """The metrics of one worker on a registry of its own. Cheap enough to call for every item."""

    def __init__(self, version: str, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        made = {metric.name: _make(metric, self.registry) for metric in METRICS}
        self._items: Counter = made[ITEMS.name]
        self._reused: Counter = made[ITEMS_REUSED.name]
        self._shared: Counter = made[SHARED_EMBEDDINGS.name]
        self._picture_texts: Counter = made[PICTURE_TEXTS.name]
        # Looked up once: a series by its labels costs more than what is then done with it.
        self._stage_seconds = {stage: made[STAGE_SECONDS.name].labels(stage) for stage in Stage}
        self._arrival_to_label: Histogram = made[ARRIVAL_TO_LABEL_SECONDS.name]
        self._in_flight: Gauge = made[IN_FLIGHT.name]
        self._oldest: Gauge = made[OLDEST_IN_FLIGHT_SECONDS.name]
        self._lag: Gauge = made[CONSUMER_LAG.name]
        self._retries: Counter = made[RETRIES.name]
        self._open_circuits: Gauge = made[OPEN_CIRCUITS.name]
        self._dead_letters: Counter = made[DEAD_LETTERS.name]
        self._missing: Counter = made[MODALITY_MISSING.name]
        self._live: Gauge = made[RELEASE_LIVE.name]
        self._pending: Gauge = made[RELEASE_PENDING.name]
        self._cache_writes: Counter = made[CACHE_WRITES.name]
        self._cache_lag: Gauge = made[CACHE_LAG.name]
        self.retried_s = time.monotonic()
        """When an attempt failed last that messages in flight wait for, by the monotonic clock: who waits for
        a server is not stuck."""
        self._media_bytes: Counter = made[MEDIA_BYTES.name]
        self._batch_items: Histogram = made[BATCH_ITEMS.name]
        self._feature_restarts: Counter = made[FEATURE_RESTARTS.name]
        self._ready: Gauge = made[READY.name]
        self._tasks: Gauge = made[TASKS.name]
        made[INFO.name].labels(version).set(1)
        self._live_series: dict[Kind, set[tuple[str, str, str, str]]] = {}

    def count_item(self, kind: Kind, outcome: str) -> None:
        """One message came to its end."""
        self._items.labels(kind, outcome).inc()

    def count_reused(self, kind: Kind) -> None:
        """An item was answered by its earlier labels."""
        self._reused.labels(kind).inc()

    def count_shared(self, counts: Mapping[Modality, tuple[int, int]]) -> None:
        """Of a micro-batch's media of each modality, so many needed no encoding, and so many did."""
        for modality, (hits, misses) in counts.items():
            self._shared.labels(modality, "hit").inc(hits)
            self._shared.labels(modality, "miss").inc(misses)

    def count_picture_text(self, reading: Reading) -> None:
        """A picture's text was to be read."""
        self._picture_texts.labels(reading).inc()

    def observe_stage(self, stage: Stage, seconds: float) -> None:
        """A stage took so long."""
        self._stage_seconds[stage].observe(seconds)

    def observe_arrival_to_label(self, kind: Kind, seconds: float) -> None:
        """An item was labelled so long after its arrival."""
        self._arrival_to_label.labels(kind).observe(seconds)

    def observe_batch(self, kind: Kind, items: int) -> None:
        """A micro-batch of so many items sets out."""
        self._batch_items.labels(kind).observe(items)

    def watch_in_flight(self, items: Callable[[], float], oldest_age_s: Callable[[], float]) -> None:
        """Ask these two whenever somebody reads the metrics."""
        self._in_flight.set_function(items)
        self._oldest.set_function(oldest_age_s)

    def watch_tasks(self, tasks: Callable[[], float]) -> None:
        """Ask this whenever somebody reads the metrics."""
        self._tasks.set_function(tasks)

    def watch_circuits(self, target: Guarded, circuits: Callable[[], float]) -> None:
        """Ask this whenever somebody reads the metrics."""
        self._open_circuits.labels(target).set_function(circuits)

    def watch_ready(self, ready: Callable[[], bool]) -> None:
        """Ask this whenever somebody reads the metrics."""
        self._ready.set_function(ready)

    def set_lag(self, topic: str, partition: int, messages: int) -> None:
        """An assigned partition has so many messages that are not committed."""
        self._lag.labels(topic, partition).set(messages)

    def forget_lag(self, topic: str, partition: int) -> None:
        """The partition is another worker's now."""
        self._lag.remove(topic, partition)

    def count_retry(self, target: Retried, *, holds_items: bool = True) -> None:
        """An attempt failed and is made again; unless told otherwise, messages in flight wait for it."""
        if holds_items:
            self.retried_s = time.monotonic()
        self._retries.labels(target).inc()

    def count_dead_letter(self, code: DeadLetterCode) -> None:
        """A message was dead-lettered."""
        self._dead_letters.labels(code).inc()

    def count_missing(self, modality: Modality, reason: MissingReason) -> None:
        """An item was labelled without the modality."""
        self._missing.labels(modality, reason).inc()

    def count_cache_write(self, outcome: CacheOutcome) -> None:
        """A write to the cache came to its end."""
        self._cache_writes.labels(outcome).inc()

    def show_cache_lag(self, messages: int) -> None:
        """So many messages of the label topic are not in Redis yet."""
        self._cache_lag.set(messages)

    def count_media_bytes(self, modality: Modality, size_bytes: int) -> None:
        """So much was read of a picture or recording."""
        self._media_bytes.labels(modality).inc(size_bytes)

    def count_feature_restart(self, reason: MissingReason) -> None:
        """A feature process crashed, missed its deadline or took too much memory."""
        self.retried_s = time.monotonic()
        self._feature_restarts.labels(reason).inc()

    def show_live(self, kind: Kind, heads: Iterable[Release]) -> None:
        """These heads label items of the kind now, and no others."""
        series = {(str(kind), head.task, head.model, str(head.version)) for head in heads}
        for gone in self._live_series.get(kind, set()) - series:
            self._live.remove(*gone)
        for labels in series:
            self._live.labels(*labels).set(1)
        self._live_series[kind] = series

    def show_pending(self, kind: Kind, task: str, *, pending: bool) -> None:
        """Whether an announced release of the task waits to go live."""
        self._pending.labels(kind, task).set(int(pending))


_TYPES: dict[str, type[Counter] | type[Gauge] | type[Histogram]] = {
    "counter": Counter,
    "gauge": Gauge,
    "histogram": Histogram,
}


def _make(metric: Metric, registry: CollectorRegistry) -> Any:
    settings: dict[str, Any] = {"buckets": metric.buckets} if metric.buckets else {}
    made = _TYPES[metric.type](metric.name, metric.help, tuple(metric.labels), registry=registry, **settings)
    # A label without a closed list empties the product: its series come with their first value.
    for values in product(*metric.labels.values()) if metric.labels else ():
        made.labels(*values)
    return made


def documentation() -> str:
    """The Markdown of `docs/metrics.md`."""
    return "\n".join([INTRODUCTION, *(_row(metric) for metric in METRICS), ""])


def _row(metric: Metric) -> str:
    labels = (
        f"`{name}`: {', '.join(values)}" if values else f"`{name}`" for name, values in metric.labels.items()
    )
    return f"| `{metric.name}` | {metric.type} | {metric.help} | {'; '.join(labels)} |"


INTRODUCTION = """\
<!-- Generated by `python -m genrestream.workers.metrics > docs/metrics.md`; do not edit. -->
# Metrics of a worker

Each worker serves them on its HTTP port at `/metrics`, beside `/health/live` and `/health/ready`. A histogram
has the series `_bucket`, `_sum` and `_count`. The usual `process_*` metrics are there too: memory, processor
time, file descriptors. A label that is shown without its values is bounded by what is configured.

| metric | type | meaning | labels |
|---|---|---|---|"""


def main() -> None:
    """Print the documentation."""
    sys.stdout.write(documentation())


if __name__ == "__main__":
    main()
