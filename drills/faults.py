"""The drills: each does something to a stack under load and says how long the load goes on.

`Size` scales them: the short form runs with the tests, the long one as `make drill`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from drills.model_faults import (
    disk_full,
    rebalanced_while_triton_hangs,
    triton_killed,
    triton_killed_in_a_release,
)
from drills.places import Place, cluster, local, on_a_small_disk, proxied
from drills.scene import Scene, Size
from drills.server_faults import (
    kafka_restarted,
    label_topic_refuses,
    leaders_killed,
    links_disturbed,
    redis_emptied,
    redis_killed,
)
from drills.worker_faults import clock_jumps, workers_come_and_go, workers_killed

SHORT = Size(rate_per_s=80, kills=2, outage_s=2, pause_s=1)
LONG = Size(rate_per_s=200, kills=20, outage_s=30, pause_s=4)

Act = Callable[[Scene, Size], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Drill:
    """What is done, and where."""

    act: Act
    place: Place


DRILLS: dict[str, Drill] = {
    drill.act.__name__: drill
    for drill in (
        Drill(workers_killed, local),
        Drill(workers_come_and_go, local),
        Drill(triton_killed, local),
        Drill(triton_killed_in_a_release, local),
        Drill(redis_killed, local),
        Drill(redis_emptied, local),
        Drill(kafka_restarted, local),
        Drill(label_topic_refuses, local),
        Drill(rebalanced_while_triton_hangs, local),
        Drill(clock_jumps, local),
        Drill(leaders_killed, cluster),
        Drill(links_disturbed, proxied),
        Drill(disk_full, on_a_small_disk),
    )
}
