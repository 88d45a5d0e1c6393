"""New versions of a head for those who need one: the live version's graph once more, released by force."""

import uuid
from datetime import UTC, datetime
from pathlib import Path

from genrestream.repository import Repository, add_candidate


def train_again(models: Path, head: str = "podcast-genres") -> None:
    """A candidate with the graph of the live head: the next version."""
    repository = Repository(models)
    live = repository.live(head)
    if live is None:
        raise ValueError(f"{head} is not live in {models}")
    folder = repository.version_dir(live.model, live.version)
    files = {path.name: path for path in folder.iterdir() if path.name != "release.json"}
    record = repository.release(live.model, live.version).model_copy(update={"created_at": datetime.now(UTC)})
    add_candidate(models, uuid.uuid4().hex, files, record)
