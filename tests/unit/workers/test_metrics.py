"""The metrics of a worker: what is counted is shown, labels are bounded, the documentation is fresh."""

import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from genrestream.schemas import DeadLetterCode, Kind, MissingReason, Modality
from genrestream.workers.metrics import METRICS, Metric, WorkerMetrics, documentation
from genrestream.workers.observe import Stage
from genrestream.workers.protocols import CacheOutcome
from tests.unit.workers.doubles import release

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"


def test_only_what_messages_in_flight_wait_for_excuses_a_standstill() -> None:
    """Claim: a retry beside the labelling is counted, and liveness does not take it for progress."""
    metrics = WorkerMetrics("1.2.3")
    metrics.retried_s = 0.0
    metrics.count_retry("redis", holds_items=False)
    assert metrics.retried_s == 0.0
    metrics.count_retry("triton")
    assert metrics.retried_s > 0.0
    assert 'genrestream_retries_total{target="redis"} 1.0' in generate_latest(metrics.registry).decode()


def test_everything_counted_is_shown() -> None:
    """Each method changes the series that its name says, by the amount given."""
    metrics = WorkerMetrics("1.2.3")
    metrics.count_item(Kind.TRACK, "labelled")
    metrics.observe_stage(Stage.FUSE, 0.02)
    metrics.observe_arrival_to_label(Kind.TRACK, 0.2)
    metrics.observe_batch(Kind.TRACK, 8)
    metrics.watch_in_flight(lambda: 5, lambda: 1.5)
    metrics.watch_ready(lambda: True)
    metrics.watch_circuits("media", lambda: 2)
    metrics.set_lag("catalog.tracks", 3, 17)
    metrics.count_retry("triton")
    metrics.count_dead_letter(DeadLetterCode.KEY_MISMATCH)
    metrics.count_missing(Modality.AUDIO, MissingReason.TIMEOUT)
    metrics.count_cache_write(CacheOutcome.STALE)
    metrics.count_media_bytes(Modality.IMAGE, 1000)
    metrics.count_feature_restart(MissingReason.CRASHED)
    metrics.show_pending(Kind.TRACK, "genres", pending=True)
    shown = set(generate_latest(metrics.registry).decode().splitlines())
    assert {
        'genrestream_items_total{kind="track",outcome="labelled"} 1.0',
        'genrestream_stage_seconds_bucket{le="0.01",stage="fuse"} 0.0',
        'genrestream_stage_seconds_bucket{le="0.025",stage="fuse"} 1.0',
        'genrestream_arrival_to_label_seconds_sum{kind="track"} 0.2',
        'genrestream_batch_items_sum{kind="track"} 8.0',
        "genrestream_items_in_flight 5.0",
        "genrestream_oldest_item_in_flight_seconds 1.5",
        'genrestream_consumer_lag_messages{partition="3",topic="catalog.tracks"} 17.0',
        'genrestream_retries_total{target="triton"} 1.0',
        'genrestream_open_circuits{target="media"} 2.0',
        'genrestream_dead_letters_total{code="key_mismatch"} 1.0',
        'genrestream_modality_missing_total{modality="audio",reason="timeout"} 1.0',
        'genrestream_cache_writes_total{outcome="stale"} 1.0',
        'genrestream_media_bytes_total{modality="image"} 1000.0',
        'genrestream_feature_process_restarts_total{reason="crashed"} 1.0',
        'genrestream_release_pending{kind="track",task="genres"} 1.0',
        "genrestream_worker_ready 1.0",
        'genrestream_worker_info{version="1.2.3"} 1.0',
    } <= shown


def test_series_of_closed_lists_are_there_from_the_start() -> None:
    """A rate over a counter sees the very first increase, because the series began at 0."""
    shown = generate_latest(WorkerMetrics("1").registry).decode()
    assert 'genrestream_dead_letters_total{code="media_crashed"} 0.0' in shown
    assert 'genrestream_items_total{kind="event",outcome="removed"} 0.0' in shown
    assert "genrestream_release_live{" not in shown


def test_only_what_is_live_is_shown_as_live() -> None:
    """A release that is replaced leaves no series behind, and other kinds keep theirs."""
    metrics = WorkerMetrics("1")
    first, second = release(Kind.PODCAST), release(Kind.PODCAST).model_copy(update={"version": 2})
    tags = release(Kind.PODCAST, "tags")
    metrics.show_live(Kind.EVENT, [release(Kind.EVENT)])
    metrics.show_live(Kind.TRACK, [release(Kind.TRACK)])
    metrics.show_live(Kind.PODCAST, [first, tags])
    metrics.show_live(Kind.PODCAST, [second, tags])
    metrics.show_live(Kind.TRACK, [])
    shown = generate_latest(metrics.registry).decode()
    assert set(re.findall(r"^genrestream_release_live\{.*", shown, re.MULTILINE)) == {
        'genrestream_release_live{kind="event",model="event-genres",task="genres",version="1"} 1.0',
        'genrestream_release_live{kind="podcast",model="podcast-tags",task="tags",version="1"} 1.0',
        'genrestream_release_live{kind="podcast",model="podcast-genres",task="genres",version="2"} 1.0',
    }


def test_lag_of_a_lost_partition_goes() -> None:
    """A partition that another worker reads now shows no lag here."""
    metrics = WorkerMetrics("1")
    metrics.set_lag("catalog.events", 0, 5)
    metrics.forget_lag("catalog.events", 0)
    assert "genrestream_consumer_lag_messages{" not in generate_latest(metrics.registry).decode()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_prometheus(metric: Metric) -> None:
    """Names have our prefix and base units; only counters, and all of them, end in _total."""
    assert re.fullmatch(r"genrestream_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.type == "counter")
    assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|percent)\b", metric.name)


def test_the_documentation_is_fresh() -> None:
    """`docs/metrics.md` is what the table says; else run `python -m genrestream.workers.metrics`."""
    assert DOCUMENT.read_text() == documentation()


def test_a_replaced_feature_process_counts_as_going_on() -> None:
    """Claim: like an attempt at a server that failed, it moves the time from which liveness counts."""
    metrics = WorkerMetrics("test")
    metrics.retried_s = -1.0
    metrics.count_feature_restart(MissingReason.TIMEOUT)
    assert metrics.retried_s >= 0
