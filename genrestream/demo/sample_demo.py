"""The demo on the generated sample, with the starter models of the repository."""

import shutil
import time
from pathlib import Path

from genrestream.demo.bad_items import bad_items
from genrestream.demo.errors import DemoError
from genrestream.demo.helper_processes import helpers
from genrestream.demo.journal import Journal
from genrestream.demo.performance import perform
from genrestream.demo.programme import ItemSet, in_turn, read_set
from genrestream.demo.screen import Screen
from genrestream.demo.stage import fresh_folder, stage
from genrestream.sample import SET_NAMES

FOLDER = Path(".genrestream/demo")
MODELS = Path("triton_models")
TASK = "genres"
ITEMS_PER_KIND = 120
RATE_PER_S = 12.0
"""A third of it tracks: a sixth of what two cores manage, so that latencies are not those of a queue."""


def play_sample(screen: Screen, items_per_kind: int) -> Journal:
    """Label a sample that no model has seen.

    Raises:
        DemoError: it cannot go on; one line.
    """
    if not MODELS.is_dir():
        raise DemoError(f"no model repository at {MODELS}: run the demo in the project's folder")
    # The models were trained on another seed; this one is new every time, so that nothing is known by heart.
    seed = time.time_ns() % 1_000_000_007
    with fresh_folder(FOLDER.absolute()) as folder:
        screen.heading("Setting up: Kafka, Redis, Triton, a worker, and a catalogue to label")
        sample, models = folder / "sample", folder / "triton_models"
        shutil.copytree(MODELS, models, ignore=shutil.ignore_patterns(".candidates", ".reports"))
        sample.mkdir()
        arguments = (str(sample), "--items", str(items_per_kind), "--seed", str(seed))
        with helpers(screen) as beside:
            generating = beside.start("genrestream.sample", *arguments)
            with stage(folder, models, sample, screen) as ready:
                beside.finish(generating, "the sample could not be generated")
                screen.step(f"{items_per_kind} events, podcasts and tracks are generated (seed {seed})")
                sets = [
                    read_set(ItemSet(sample / name / "items.jsonl", kind, TASK, TASK))
                    for kind, name in SET_NAMES.items()
                ]
                return perform(ready, in_turn([*sets, bad_items(sample)]), RATE_PER_S, screen)
