"""The local stack for tests: started once a session, in a folder of its own, on free ports."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from genrestream.cli.addresses import Addresses
from genrestream.ops.errors import StackError
from genrestream.ops.stack import local_stack
from genrestream.ops.state import StackState
from genrestream.workers.topics import create_topics

# A job in the background is started with Ctrl-C ignored, and what tests start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the committed model repository, which the session's Triton serves and tests may add to."""
    folder = tmp_path_factory.mktemp("repository") / "triton_models"
    committed = REPOSITORY / "triton_models"
    if committed.is_dir():
        shutil.copytree(committed, folder, ignore=shutil.ignore_patterns(".candidates"))
    else:
        folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def stack(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackState]:
    """Kafka with the topics, Redis and Triton, for the whole session; no model is loaded."""
    try:
        with local_stack(tmp_path_factory.mktemp("stack"), models_dir) as state:
            create_topics(state.kafka_bootstrap)
            yield state
    except StackError as error:
        pytest.fail(f"the local stack did not start: {error}", pytrace=False)


@pytest.fixture(scope="session")
def addresses(stack: StackState) -> Addresses:
    """Where the session's servers listen."""
    return Addresses(
        kafka_bootstrap=stack.kafka_bootstrap, redis_url=stack.redis_url, triton_url=stack.triton_url
    )
