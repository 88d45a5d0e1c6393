"""The table over all seeds: the mean of each line that every seed has."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from genrestream.training.comparison.entries import Entry
from genrestream.training.comparison.results import Result
from genrestream.training.metrics import Figures


@dataclass(frozen=True, slots=True)
class Row:
    """A system on a contest's test items, the mean over the seeds."""

    contest: str
    entry: Entry
    seeds: int
    top1_between: tuple[float, float] | None
    """The lowest and the highest of the seeds."""
    mean_ap_between: tuple[float, float] | None

    def as_dict(self) -> dict[str, Any]:
        """For a program: one flat object."""
        entry = self.entry.model_dump(exclude={"figures"})
        figures = self.entry.figures.as_dict() if self.entry.figures else {}
        return {"contest": self.contest, "seeds": self.seeds, **entry, **figures}


def rows_of(results: Sequence[Result]) -> list[Row]:
    """The lines in the order of the results; a line with a failed training keeps no figures."""
    lines: dict[tuple[str, str, str], list[Entry]] = {}
    for result in results:
        for entry in result.entries:
            lines.setdefault((result.contest, entry.system, entry.hears), []).append(entry)
    return [_row(contest, entries) for (contest, _, _), entries in lines.items()]


def _row(contest: str, entries: Sequence[Entry]) -> Row:
    figures = [entry.figures for entry in entries if entry.figures is not None]
    complete = len(figures) == len(entries)
    mean = Entry(
        system=entries[0].system,
        hears=entries[0].hears,
        figures=_mean_figures(figures) if complete else None,
        size_bytes=_rounded(_mean([entry.size_bytes for entry in entries])),
        training_s=_mean([entry.training_s for entry in entries]),
        inference_ms=_mean([entry.inference_ms for entry in entries]),
        note=next((entry.note for entry in entries if entry.note), ""),
    )
    return Row(
        contest=contest,
        entry=mean,
        seeds=len(entries),
        top1_between=_between([found.top1 for found in figures]) if complete else None,
        mean_ap_between=_between([found.mean_ap for found in figures]) if complete else None,
    )


def _mean_figures(figures: Sequence[Figures]) -> Figures:
    by_name: dict[str, Any] = {
        name: fmean(each.as_dict()[name] for each in figures) for name in figures[0].as_dict()
    }
    return Figures(**{**by_name, "items": round(by_name["items"])})


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if len(known) == len(values) else None


def _rounded(value: float | None) -> int | None:
    return None if value is None else round(value)


def _between(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)
