"""A stack with workers under load, on which faults are tried."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka import TopicPartition

from drills.account import Figures, positions, settle, stale_items
from drills.brokers import Brokers
from drills.disk import SmallDisk
from drills.servers import RestartableServer
from drills.traffic import Traffic
from genrestream.ops.state import StackState
from genrestream.ops.worker_process import WorkerProcess

TASKS = ("genres",)
SETTLE_S = 180.0
CACHE_S = 120.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    rate_per_s: float
    kills: int
    outage_s: float
    pause_s: float
    """Between faults, and before the first and after the last one."""


@dataclass(slots=True)
class Scene:
    """What a drill acts on."""

    state: StackState
    models: Path
    folder: Path
    kafka: Brokers | None = None
    """Where the place has brokers of its own."""
    kafka_proxy_port: int = 0
    """Where the place's broker says to be, for those who come through a proxy."""
    disk: SmallDisk | None = None
    """Where the place has one for the models."""
    settings: dict[str, str] = field(default_factory=dict)
    """Environment variables of the workers."""
    workers: dict[str, WorkerProcess] = field(default_factory=dict)
    servers: dict[str, RestartableServer] = field(default_factory=dict)
    """Of the stack, and so the same for all drills on it: one that was started anew has another process."""
    fault_ends_s: list[float] = field(default_factory=list)
    faults: int = 0
    began: dict[TopicPartition, int] = field(default_factory=dict)

    async def start_worker(self, name: str, **settings: str) -> WorkerProcess:
        """A worker of this name, ready; a new one, or one that has ended."""
        if name not in self.workers:
            environment = {**self.state.environment(), **self.settings, **settings}
            arguments = ("--models", str(self.models), "--log-level", "warning")
            self.workers[name] = WorkerProcess(name, self.folder / f"{name}.log", environment, arguments)
        worker = self.workers[name]
        worker.start()
        await asyncio.to_thread(worker.wait_ready)
        return worker

    async def kill_worker(self, name: str) -> None:
        """End it as a crash would."""
        await asyncio.to_thread(self.workers[name].kill)

    async def stop_worker(self, name: str) -> int:
        """Ask it to drain; its exit status."""
        return await asyncio.to_thread(self.workers[name].stop)

    def server(self, name: str) -> RestartableServer:
        """Kafka, Redis or Triton, to be killed and started."""
        if name not in self.servers:
            self.servers[name] = RestartableServer(self.state, name)
        return self.servers[name]

    @asynccontextmanager
    async def fault(self) -> AsyncIterator[None]:
        """Around what is done to the stack; when it ends, recovery begins."""
        self.faults += 1
        yield
        self.fault_ends_s.append(time.time())

    @asynccontextmanager
    async def load(self, rate_per_s: float) -> AsyncIterator[None]:
        """Items are published at this rate while the block runs."""
        stop = asyncio.Event()
        publishing = asyncio.create_task(
            Traffic(self.state.kafka_bootstrap, rate_per_s, seed=_seed()).run(stop)
        )
        try:
            yield
        finally:
            stop.set()
            await publishing

    def dead_workers(self) -> list[str]:
        """Workers that ended by themselves."""
        return [
            f"{name} ended with status {status}"
            for name, worker in self.workers.items()
            if (status := worker.poll()) not in (None, 0, -9)
        ]

    async def settled(self) -> None:
        """Return once everything that was published so far has ended, and Redis shows it."""
        await self.account(self.began)

    async def account(self, begin: dict[TopicPartition, int]) -> Figures:
        """What became of everything since `begin`."""
        account = await settle(self.state.kafka_bootstrap, begin, SETTLE_S)
        for place in account.open()[:3]:
            sys.stderr.write(f"lost: {place}\n")
        stale = await stale_items(account, self.state.redis_url, TASKS, CACHE_S)
        for line in stale[:3]:
            sys.stderr.write(f"stale: {line}\n")
        return account.figures(self.fault_ends_s, len(stale))

    async def begin(self) -> dict[TopicPartition, int]:
        """Where the account begins: now."""
        self.began = await positions(self.state.kafka_bootstrap)
        return self.began

    async def close(self) -> None:
        """Stop the workers, which are none of the next drill's."""
        for name, worker in self.workers.items():
            if worker.poll() is None:
                await self.stop_worker(name)
        self.workers.clear()


def _seed() -> int:
    """Ids that no other drill on the same stack has."""
    return time.time_ns() // 1_000_000
