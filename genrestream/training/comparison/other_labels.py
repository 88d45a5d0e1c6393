"""A contest's test items measured by the labels of another set that has some of them too, joined by title.

Legend: n items, l labels.
"""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from genrestream.schemas.taxonomy import Taxonomy, taxonomy
from genrestream.training.catalogue import Examples, read_catalogue
from genrestream.training.comparison.contests import Contest
from genrestream.training.metrics import mean_average_precision
from genrestream.training.set_figures import SetFigures, measure_sets
from genrestream.training.split import Fold
from genrestream.training.train import Trained

if TYPE_CHECKING:
    from genrestream.training.comparison.results import Result


class OtherEntry(BaseModel):
    """One line: a system, hearing some modalities, on the joined test items."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: str
    hears: str
    labels: int
    """Those of the system's that the other source gives; no other is measured."""
    ambiguous: int
    """Test items left out since their title stands twice in either set."""
    sets: SetFigures
    mean_ap: float


@dataclass(frozen=True, slots=True)
class Joined:
    """What the other set says of the test items."""

    labels: Mapping[int, tuple[str, ...]]
    """By the item's row in its own set, through the taxonomy's map."""
    ambiguous: int


def other_entries(
    contest: Contest, data: Path, systems: Mapping[str, Trained], rows: NDArray[np.int64] | None
) -> list[OtherEntry]:
    """The lines of all systems, with each subset of modalities; none where the contest names no other set, or
    `data` lacks it.

    `rows` int64 [n] are the test items that are measured on; None: all of them.

    Raises:
        TrainingError: the other set cannot be read.
        TaxonomyError: the taxonomy does not know its source.
    """
    folder = contest.other_items(data)
    rules = taxonomy(contest.taxonomy)
    if folder is None or not systems or not isinstance(rules, Taxonomy):
        return []
    prepared = next(iter(systems.values())).prepared
    test = prepared.split[Fold.TEST] if rows is None else rows
    other = read_catalogue([folder], contest.kind, contest.task).examples
    mapped = [rules.map(contest.other_source, labels) for labels in other.labels]
    joined = join_titles(titles_of(prepared.catalogue.examples), titles_of(other), mapped, test)
    given = rules.given_by(contest.other_source)
    return [entry for name, trained in systems.items() for entry in _entries(name, trained, joined, given)]


def titles_of(examples: Examples) -> list[str]:
    """Each item's title as titles are compared: small letters and digits without accents; empty for none."""
    found = []
    for example in examples:
        plain = unicodedata.normalize("NFKD", example.item.title or "").casefold()
        kept = "".join(sign if sign.isalnum() else " " for sign in plain if not unicodedata.combining(sign))
        found.append(" ".join(kept.split()))
    return found


def join_titles(
    mine: Sequence[str], others: Sequence[str], labels: Sequence[tuple[str, ...]], rows: NDArray[np.int64]
) -> Joined:
    """The `labels` of `others` for those `rows` of `mine` whose title stands once in both."""
    times_mine, times_others = Counter(mine), Counter(others)
    by_title = dict(zip(others, labels, strict=True))
    known = [int(row) for row in rows if mine[row] and mine[row] in by_title]
    sure = [row for row in known if times_mine[mine[row]] == times_others[mine[row]] == 1]
    return Joined({row: by_title[mine[row]] for row in sure}, len(known) - len(sure))


def _entries(system: str, trained: Trained, joined: Joined, given: frozenset[str]) -> list[OtherEntry]:
    names = trained.prepared.targets.labels
    places = [place for place, name in enumerate(names) if name in given]
    found = []
    for hears, part in trained.evaluation.parts.items():
        kept = [place for place, row in enumerate(part.rows) if int(row) in joined.labels]
        if not kept or not places:
            continue
        labels = [set(joined.labels[int(row)]) for row in part.rows[kept]]
        truth = np.array([[names[place] in those for place in places] for those in labels], np.bool_)
        predictions = part.predictions.only(np.array(kept), places)
        found.append(
            OtherEntry(
                system=system,
                hears=hears,
                labels=len(places),
                ambiguous=joined.ambiguous,
                sets=measure_sets(truth, predictions),
                mean_ap=mean_average_precision(truth, predictions.confidences),
            )
        )
    return found


def mean_entries(results: "Sequence[Result]") -> list[OtherEntry]:
    """The lines of one contest's results, each the mean of the seeds that have it."""
    lines: dict[tuple[str, str], list[OtherEntry]] = {}
    for result in results:
        for entry in result.other:
            lines.setdefault((entry.system, entry.hears), []).append(entry)
    return [_mean(entries) for entries in lines.values()]


def _mean(entries: Sequence[OtherEntry]) -> OtherEntry:
    means: dict[str, Any] = {
        field.name: fmean(getattr(entry.sets, field.name) for entry in entries)
        for field in fields(SetFigures)
    }
    return entries[0].model_copy(
        update={
            "labels": round(fmean(entry.labels for entry in entries)),
            "ambiguous": round(fmean(entry.ambiguous for entry in entries)),
            "sets": SetFigures(**{**means, "items": round(means["items"])}),
            "mean_ap": fmean(entry.mean_ap for entry in entries),
        }
    )
