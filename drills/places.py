"""Where drills take place: the local stack, a cluster of three brokers, or a stack behind proxies."""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from drills.brokers import brokers
from drills.disk import small_disk
from drills.scene import Scene
from genrestream.ops.ports import Ports
from genrestream.ops.stack import local_stack
from genrestream.ops.state import External
from genrestream.workers.announce import announce_live
from genrestream.workers.topics import create_topics

SPARE_BYTES = 64 * 2**20
"""Room for all versions that a long drill releases."""

Place = Callable[[Path, Path], AbstractContextManager[Scene]]
"""Given a folder and the models to serve, the scene for as long as the block lasts."""


@contextmanager
def local(folder: Path, models: Path) -> Iterator[Scene]:
    """What `genrestream up` starts."""
    with _stack(folder, models, External()) as scene:
        yield scene


@contextmanager
def cluster(folder: Path, models: Path) -> Iterator[Scene]:
    """Three brokers, every topic on all of them, two of which have to have a write."""
    with brokers(folder / "brokers", 3) as kafka:
        create_topics(kafka.bootstrap, replication_factor=3)
        kafka.wait_in_sync()
        with _stack(folder, models, External(kafka_bootstrap=kafka.bootstrap)) as scene:
            scene.kafka = kafka
            yield scene


@contextmanager
def proxied(folder: Path, models: Path) -> Iterator[Scene]:
    """A broker that says to be at a proxy's port, too; the drill puts the proxies there."""
    port = Ports(usual=False).choose()
    with brokers(folder / "brokers", 1, proxied_at=port) as kafka:
        create_topics(kafka.bootstrap)
        with _stack(folder, models, External(kafka_bootstrap=kafka.bootstrap)) as scene:
            scene.kafka, scene.kafka_proxy_port = kafka, port
            yield scene


@contextmanager
def on_a_small_disk(folder: Path, models: Path) -> Iterator[Scene]:
    """The local stack, whose model repository has a disk of its own that can be filled."""
    needed_bytes = sum(path.stat().st_size for path in models.rglob("*"))
    with (
        small_disk(needed_bytes + SPARE_BYTES) as disk,
        _stack(folder, models, External(), disk.folder / "triton_models") as scene,
    ):
        scene.disk = disk
        yield scene


@contextmanager
def _stack(folder: Path, models: Path, external: External, served: Path | None = None) -> Iterator[Scene]:
    """`served` is where the copy of the models goes that is served, by default in the folder."""
    served = served or folder / "triton_models"
    shutil.copytree(models, served, ignore=shutil.ignore_patterns(".candidates"))
    with local_stack(folder / "stack", served, external=external) as state:
        create_topics(state.kafka_bootstrap)
        asyncio.run(announce_live(served, state.kafka_bootstrap, state.triton_url))
        yield Scene(state, served, folder)
