"""The comparison as one HTML file that needs nothing else, made to be looked at."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from genrestream.schemas.releases import Gate
from genrestream.training.bootstrap import DRAWS
from genrestream.training.comparison.entries import OURS
from genrestream.training.comparison.other_labels import OtherEntry, mean_entries
from genrestream.training.comparison.plots import cost_plot, quality_plot
from genrestream.training.comparison.results import Result
from genrestream.training.comparison.table import Row, rows_of
from genrestream.training.report.page import FIGURES
from genrestream.training.report.page import TEMPLATES as REPORT_TEMPLATES
from genrestream.training.versions import library_versions

TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True, slots=True)
class Section:
    """One contest on the page."""

    name: str
    rows: Sequence[Row]
    leads: Sequence[tuple[int, Gate]]
    """Our head beside a recipe, with the seed."""
    other: Sequence[OtherEntry]
    """The systems by the labels of another set."""
    pages: Sequence[tuple[str, str]]
    """A system with its seed, and the way from the comparison to its own page."""
    plot: Markup | None


def comparison_page(results: Sequence[Result], scaled: Mapping[str, str], folder: Path) -> bytes:
    """The page of all contests as UTF-8, for a file in `folder`, from where it leads to each system's own.

    `scaled` says of each recipe what was scaled down.
    """
    rows = rows_of(results)
    names = dict.fromkeys(each.contest for each in results)
    sections = [_section(name, results, rows, folder) for name in names]
    compared = [row for row in rows if row.entry.figures and row.entry.inference_ms is not None]
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("comparison.html.j2").render(
        sections=sections,
        seeds=sorted({result.seed for result in results}),
        scaled=scaled,
        ours=OURS,
        figure_names=FIGURES,
        draws=DRAWS,
        costs_svg=Markup(cost_plot(compared)) if compared else None,  # noqa: S704 - matplotlib escapes
        versions=library_versions(),
        style=Markup((REPORT_TEMPLATES / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own
    )
    return page.encode("utf-8", "replace")


def _section(name: str, results: Sequence[Result], rows: Sequence[Row], folder: Path) -> Section:
    mine = [result for result in results if result.contest == name]
    lines = [row for row in rows if row.contest == name]
    shown = [row for row in lines if row.entry.figures is not None]
    return Section(
        name=name,
        rows=lines,
        leads=[(result.seed, gate) for result in mine for gate in result.leads],
        other=mean_entries(mine),
        pages=[
            (f"{system}, seed {result.seed}", quote(os.path.relpath(page, folder)))
            for result in mine
            for system, page in result.pages.items()
        ],
        plot=Markup(quality_plot(shown)) if shown else None,  # noqa: S704 - matplotlib escapes its text
    )
