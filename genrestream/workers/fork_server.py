"""The small process from which the feature processes are forked.

Forking the worker itself, with its threads, can deadlock.
"""

import multiprocessing
import multiprocessing.forkserver
from multiprocessing.context import ForkServerContext


def fork_server() -> ForkServerContext:
    """Its context; the server has loaded what features take before it forks."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["genrestream.workers.features.extract"])
    return context


def start_fork_server() -> None:
    """Let it load while this process loads what it needs itself: half a second of a worker's start."""
    fork_server()
    multiprocessing.forkserver.ensure_running()
