"""Which of the announced releases of a kind are live next; pure, so that every case can be tested.

What runs stays until what is announced can take its place. A kind begins only once all of its announced tasks
can: an item that is labelled and committed without one of them would never get that task's labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from genrestream.repository import RepositoryError
from genrestream.schemas.items import Kind
from genrestream.workers.live import EncoderSource, LiveKind, LiveRelease, ReleaseUnusableError, build_live


@dataclass(frozen=True, slots=True)
class Switch:
    """The answer."""

    live: LiveKind | None
    """The same object as before when nothing changes."""
    pending: Mapping[str, str]
    """Task -> why its announced release is not live."""


def switch(
    kind: Kind,
    current: LiveKind | None,
    announced: Mapping[str, LiveRelease],
    unusable: Mapping[str, str],
    source: EncoderSource,
) -> Switch:
    """What is live after `current`, by the newest announcement of each task.

    `unusable` are the tasks whose announced release cannot go live now, with the reason.
    """
    running = {live.release.task: live for live in current.releases} if current else {}
    kept = {task: live for task, live in running.items() if task in announced}
    wanted = {task: live for task, live in announced.items() if task not in unusable}
    changed = {task: live for task, live in wanted.items() if kept.get(task) != live}
    pending = dict(unusable)
    if current is not None and not changed and kept == running:
        return Switch(current, pending)
    accepted = kept | changed
    live = _try(kind, accepted, source)
    if isinstance(live, str):
        # Together they do not fit; perhaps all but one of them do.
        accepted = dict(kept)
        for task, release in changed.items():
            live = _try(kind, accepted | {task: release}, source)
            if isinstance(live, str):
                pending[task] = live
            else:
                accepted[task] = release
        live = _try(kind, accepted, source)
    begins_incomplete = current is None and pending
    return Switch(None if isinstance(live, str) or begins_incomplete else live, pending)


def _try(kind: Kind, releases: Mapping[str, LiveRelease], source: EncoderSource) -> LiveKind | str:
    """The snapshot, or why there is none."""
    try:
        return build_live(kind, releases.values(), source)
    except (ReleaseUnusableError, RepositoryError) as error:
        return str(error)
