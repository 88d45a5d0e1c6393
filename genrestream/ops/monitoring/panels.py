"""What the dashboard shows: rows of panels, each with its queries and what to read from them.

Queries name only metrics that workers have (docs/metrics.md), and a few of Triton's; a test holds them.
"""

from genrestream.ops.monitoring.panel import (
    BY_KIND,
    WORKERS,
    Panel,
    Query,
    Row,
    quantile,
    quantiles,
    rate,
    stat,
    total,
)

AT_A_GLANCE = Row(
    "At a glance",
    (
        stat(
            "Labelled",
            "Items labelled a second.",
            total("genrestream_items_total", f'{BY_KIND}, outcome="labelled"'),
            "cps",
        ),
        stat(
            "Arrival to label, p99",
            "From Kafka's time stamp to the acknowledgement of the labels.",
            "histogram_quantile(0.99, sum by (le) "
            f"(rate(genrestream_arrival_to_label_seconds_bucket{{{BY_KIND}}}[$__rate_interval])))",
            "s",
            alarm=5,
        ),
        stat(
            "Lag",
            "Messages of all assigned partitions that are not committed yet.",
            f"sum(genrestream_consumer_lag_messages{{{WORKERS}}})",
            alarm=10_000,
        ),
        stat(
            "Dead letters",
            "Share of messages that cannot be labelled.",
            total("genrestream_items_total", f'{BY_KIND}, outcome="dead_lettered"')
            + " / "
            + total("genrestream_items_total", BY_KIND),
            "percentunit",
            alarm=0.02,
        ),
        stat(
            "Workers ready",
            "Those that answer /health/ready with 200.",
            f"sum(genrestream_worker_ready{{{WORKERS}}})",
        ),
        stat(
            "Workers not ready",
            "They run and cannot label: no partition, no live release, or no Triton.",
            f"count(genrestream_worker_ready{{{WORKERS}}} == 0) or vector(0)",
            alarm=1,
        ),
    ),
)

THROUGHPUT = Row(
    "Throughput",
    (
        Panel(
            "Messages by kind and outcome",
            "Every message ends as labelled, removed or dead-lettered, or is a superseded replay.",
            (Query(rate("genrestream_items_total", "kind, outcome", BY_KIND), "{{kind}} {{outcome}}"),),
            "cps",
            stacked=True,
        ),
        Panel(
            "Work spared",
            "Items answered by their earlier labels, and media whose embeddings were known already.",
            (
                Query(rate("genrestream_items_reused_total", "kind", BY_KIND), "{{kind}} reused"),
                Query(
                    rate("genrestream_shared_embeddings_total", "modality, outcome"),
                    "{{modality}} {{outcome}}",
                ),
            ),
            "cps",
        ),
        Panel(
            "In flight",
            "Items between arrival and acknowledgement. At their limit, workers read no more: backpressure.",
            (
                Query(f"genrestream_items_in_flight{{{WORKERS}}}", "{{instance}}"),
                Query(f"genrestream_tasks{{{WORKERS}}}", "{{instance}} tasks"),
            ),
        ),
        Panel(
            "Items in a micro-batch",
            "The mean. Large batches mean that items queue; small ones that they pass at once.",
            (
                Query(
                    f"{rate('genrestream_batch_items_sum', 'kind', BY_KIND)}"
                    f" / {rate('genrestream_batch_items_count', 'kind', BY_KIND)}",
                    "{{kind}}",
                ),
            ),
        ),
    ),
)

LATENCY = Row(
    "Latency",
    (
        Panel(
            "Arrival to label",
            "From Kafka's time stamp of the item to the acknowledgement of its labels.",
            quantiles("genrestream_arrival_to_label_seconds", "kind", BY_KIND),
            "s",
        ),
        Panel(
            "Arrival to label, all items",
            "How many items took how long; two bands are two kinds of items, or a lag that drains.",
            (
                Query(
                    "sum by (le) "
                    f"(increase(genrestream_arrival_to_label_seconds_bucket{{{BY_KIND}}}[$__rate_interval]))",
                    "{{le}}",
                    "heatmap",
                ),
            ),
            "s",
            "heatmap",
        ),
        Panel(
            "Oldest item in flight",
            "An item that grows old holds up the commits of its partition.",
            (Query(f"genrestream_oldest_item_in_flight_seconds{{{WORKERS}}}", "{{instance}}"),),
            "s",
        ),
        Panel(
            "Stages, median",
            "Time of an item in a stage; of its micro-batch in features, encode and fuse.",
            (Query(quantile(0.5, "genrestream_stage_seconds", "stage", WORKERS), "{{stage}}"),),
            "s",
            width=12,
        ),
        Panel(
            "Stages, p99",
            "Media: slow servers. Features: worker's processors. Encode and fuse: Triton. Publish: Kafka.",
            (Query(quantile(0.99, "genrestream_stage_seconds", "stage", WORKERS), "{{stage}}"),),
            "s",
            width=12,
        ),
    ),
)

LAG = Row(
    "Lag",
    (
        Panel(
            "Lag by topic",
            "Messages that are not committed yet. Growing: more arrives than is labelled.",
            (Query(f"sum by (topic) (genrestream_consumer_lag_messages{{{WORKERS}}})", "{{topic}}"),),
            width=12,
        ),
        Panel(
            "The ten partitions furthest behind",
            "One partition alone: one item holds it up, or one producer writes all with one key.",
            (
                Query(
                    f"topk(10, sum by (topic, partition) (genrestream_consumer_lag_messages{{{WORKERS}}}))",
                    "{{topic}} {{partition}}",
                ),
            ),
            width=12,
        ),
    ),
)

DEAD_LETTERS = Row(
    "Dead letters and retries",
    (
        Panel(
            "Dead letters by code",
            "What each code means and asks for is in docs/schemas/dead-letter-headers.schema.json.",
            (Query(f"{rate('genrestream_dead_letters_total', 'code')} > 0", "{{code}}"),),
            "cps",
            stacked=True,
            width=6,
        ),
        Panel(
            "Retries by target",
            "Attempts that failed and are made again; nothing is lost, but it takes time.",
            (Query(rate("genrestream_retries_total", "target"), "{{target}}"),),
            "cps",
            width=6,
        ),
        Panel(
            "Left alone",
            "Kinds whose inference, and media hosts, that failed many times in a row; one probe at a time.",
            (Query(f"sum by (target) (genrestream_open_circuits{{{WORKERS}}})", "{{target}}"),),
            "short",
            width=6,
        ),
        Panel(
            "Feature processes replaced",
            "A decoder crashed or missed its deadline; the item is labelled from the rest.",
            (
                Query(
                    "sum by (reason) "
                    f"(increase(genrestream_feature_process_restarts_total{{{WORKERS}}}[$__rate_interval]))",
                    "{{reason}}",
                ),
            ),
            width=6,
        ),
    ),
)

MODALITIES = Row(
    "Missing modalities",
    (
        Panel(
            "Missing, by modality and reason",
            "Absent is the item's own; the others are failures, and the labels rest on less than they could.",
            (
                Query(
                    f"{rate('genrestream_modality_missing_total', 'modality, reason')} > 0",
                    "{{modality}} {{reason}}",
                ),
            ),
            "cps",
            width=6,
            stacked=True,
        ),
        Panel(
            "Failed, as a share of labelled items",
            "Of those that an item had and the live release listens to.",
            (
                Query(
                    rate(
                        "genrestream_modality_missing_total",
                        "modality",
                        f'{WORKERS}, reason!~"absent|not_in_model"',
                    )
                    + " / on () group_left () "
                    + total("genrestream_items_total", f'{WORKERS}, outcome="labelled"'),
                    "{{modality}}",
                ),
            ),
            "percentunit",
            width=6,
        ),
        Panel(
            "Media read",
            "Bytes of pictures and recordings.",
            (Query(rate("genrestream_media_bytes_total", "modality"), "{{modality}}"),),
            "Bps",
            width=6,
        ),
        Panel(
            "Texts read from pictures",
            "Of items without a text, where a live head can use it; off: the worker has no readers.",
            (Query(rate("genrestream_picture_texts_total", "outcome"), "{{outcome}}"),),
            "cps",
            width=6,
            stacked=True,
        ),
    ),
)

CACHE = Row(
    "Label cache",
    (
        Panel(
            "Writes by outcome",
            "Stale: a newer record was there. Unchanged: a duplicate. Failed: Redis was away.",
            (Query(rate("genrestream_cache_writes_total", "outcome"), "{{outcome}}"),),
            "cps",
            stacked=True,
            width=12,
        ),
        Panel(
            "Labels not in Redis yet",
            "Redis follows the label topic. After an outage the workers make up for it by themselves.",
            (Query(f"sum by (instance) (genrestream_cache_lag_messages{{{WORKERS}}})", "{{instance}}"),),
            "short",
            width=12,
        ),
    ),
)

RELEASES = Row(
    "Releases",
    (
        Panel(
            "Live now",
            "Workers that label with each version. More than one version of a task: workers disagree.",
            (
                Query(
                    f"sum by (kind, task, model, version) (genrestream_release_live{{{BY_KIND}}})",
                    form="table",
                ),
            ),
            type="table",
            width=12,
        ),
        Panel(
            "Versions over time",
            "How many workers run each version; a release takes them from one to the other.",
            (
                Query(
                    f"sum by (kind, task, version) (genrestream_release_live{{{BY_KIND}}})",
                    "{{kind}} {{task}} version {{version}}",
                ),
            ),
            width=6,
        ),
        Panel(
            "Announced, not live yet",
            "Seconds at a release; for long, Triton has not loaded it or its files are not to be seen.",
            (Query(f"max by (kind, task) (genrestream_release_pending{{{BY_KIND}}})", "{{kind}} {{task}}"),),
            width=6,
        ),
    ),
)

SERVERS = Row(
    "Triton and the workers' processes",
    (
        Panel(
            "Inferences by model",
            "Items that Triton ran through each model, a second.",
            (Query("sum by (model) (rate(nv_inference_count[$__rate_interval]))", "{{model}}"),),
            "cps",
            width=6,
        ),
        Panel(
            "Time in Triton's queue",
            "The mean a request. Long: Triton is the bottleneck.",
            (
                Query(
                    "sum by (model) (rate(nv_inference_queue_duration_us[$__rate_interval]))"
                    " / sum by (model) (rate(nv_inference_request_success[$__rate_interval]))",
                    "{{model}}",
                ),
            ),
            "µs",
            width=6,
        ),
        Panel(
            "Processor, main processes",
            "Of the event loop alone; the processes for features are its children and not in it.",
            (
                Query(
                    'rate(process_cpu_seconds_total{job="genrestream-workers", '
                    f"{WORKERS}}}[$__rate_interval])",
                    "{{instance}}",
                ),
            ),
            "percentunit",
            width=6,
        ),
        Panel(
            "Memory, main processes",
            "Resident. It stays level, whatever arrives: every queue has a limit.",
            (
                Query(
                    f'process_resident_memory_bytes{{job="genrestream-workers", {WORKERS}}}', "{{instance}}"
                ),
            ),
            "bytes",
            width=6,
        ),
    ),
)

ROWS = (AT_A_GLANCE, THROUGHPUT, LATENCY, LAG, DEAD_LETTERS, MODALITIES, CACHE, RELEASES, SERVERS)
