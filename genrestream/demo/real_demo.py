"""The demo on real sets: pretrained encoders, heads trained here, labels for items never trained on."""

from pathlib import Path

import orjson

from genrestream.demo.errors import DemoError
from genrestream.demo.held_out import ITEMS_FILE, REAL_SETS, Parts, RealSet, divide
from genrestream.demo.helper_processes import Helpers, helpers
from genrestream.demo.journal import Journal
from genrestream.demo.performance import perform
from genrestream.demo.programme import ItemSet, in_turn, read_set
from genrestream.demo.screen import Screen
from genrestream.demo.stage import fresh_folder, stage
from genrestream.repository import Repository, RepositoryError
from genrestream.schemas import Modality

FOLDER = Path(".genrestream/demo-data")
"""Kept from run to run: encoders, embeddings and heads are made once."""
ITEMS_PER_SET = 250
RATE_PER_S = 8.0
"""With pretrained encoders, about half of what two cores manage."""
_DONE = "trained.json"


def play_real(screen: Screen, data: Path, items_per_set: int | None) -> Journal:
    """Train on most of the sets below `data` and label the rest.

    Raises:
        DemoError: it cannot go on; one line.
    """
    sets = [real for real in REAL_SETS if (data / real.name / ITEMS_FILE).is_file()]
    if not sets:
        raise DemoError(f"no sets in {data}: none of {', '.join(real.name for real in REAL_SETS)} is there")
    kept = FOLDER.absolute()
    with fresh_folder(kept / "live") as folder:
        parts = {real: divide(real, data, kept) for real in sets}
        models = kept / "models"
        with helpers(screen) as beside:
            _build_encoders(models, beside, screen)
            for real in sets:
                _train(real, parts[real], kept, beside, screen)
        programme = in_turn(
            [
                read_set(ItemSet(parts[real].held_out / ITEMS_FILE, real.kind, real.task, real.served_as))[
                    : items_per_set or ITEMS_PER_SET
                ]
                for real in sets
            ]
        )
        screen.heading("Starting Kafka, Redis, Triton and a worker")
        with stage(folder, models, data.absolute(), screen) as ready:
            return perform(ready, programme, RATE_PER_S, screen)


def _build_encoders(models: Path, beside: Helpers, screen: Screen) -> None:
    try:
        there = {record.modality for record in Repository(models).encoders()} if models.is_dir() else set()
    except RepositoryError as error:
        raise DemoError(str(error)) from error
    if there >= set(Modality):
        screen.step(f"the pretrained encoders are there: {models}")
        return
    screen.heading("Building the pretrained encoders: genrestream encoders build")
    beside.run("the encoders could not be built", "encoders", "build", "--models", str(models))


def _train(real: RealSet, parts: Parts, kept: Path, beside: Helpers, screen: Screen) -> None:
    """Train and release the set's head, unless it was trained on the very same items before."""
    models = kept / "models"
    done = _read_done(kept)
    sizes = f"{parts.train_items} items, {parts.held_out_items} held out"
    try:
        is_live = Repository(models).live(real.head) is not None
    except RepositoryError as error:
        raise DemoError(str(error)) from error
    if is_live and done.get(real.head) == parts.fingerprint:
        screen.step(f"{real.head} is trained on {real.name}: {sizes}")
        return
    screen.heading(f"Training {real.head} on {real.name} ({sizes}): genrestream train, genrestream release")
    where = ("--models", str(models))
    beside.run(
        f"{real.head} could not be trained",
        *("train", str(parts.train), "--kind", real.kind, "--task", real.task, "--as", real.served_as),
        *("--store", str(kept / "embeddings"), *where),
    )
    _release(real.head, where, beside, screen)
    done[real.head] = parts.fingerprint
    (kept / _DONE).write_bytes(orjson.dumps(done))


def _release(head: str, where: tuple[str, ...], beside: Helpers, screen: Screen) -> None:
    complaint, command = f"{head} could not be released", ("release", head, "--offline", *where)
    try:
        beside.run(complaint, *command)
    except DemoError:
        # It has said why. Of few items, or where the one before it learnt from nearly the same, a head need
        # not be better; the demo shows it all the same.
        screen.step(f"{head} goes live all the same: --force")
        beside.run(complaint, *command, "--force")


def _read_done(kept: Path) -> dict[str, str]:
    """The fingerprint of the items that each head was trained on; empty when there is no such note."""
    try:
        done = orjson.loads((kept / _DONE).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return done if isinstance(done, dict) else {}
