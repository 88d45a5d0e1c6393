"""The comparison's plots as inline SVG: how good each system is, and what that costs."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from genrestream.training.comparison.entries import OURS
from genrestream.training.comparison.table import Row
from genrestream.training.report.drawing import BLUE, FAINT, INK, ORANGE, STYLE, to_svg

_BAR_IN = 0.26
_PANELS = (("mean_ap", "mAP"), ("top1", "top-1"), ("micro_f1", "micro-F1"))


def quality_plot(rows: Sequence[Row]) -> str:
    """A bar a system and what it hears, a panel a figure; ours in blue, recipes orange, baselines in ink.

    `rows` are one contest's with figures, at least one.
    """
    with mpl.rc_context({**STYLE, "axes.grid.axis": "x"}):
        figure = Figure(figsize=(9.0, _BAR_IN * len(rows) + 1.0), layout="constrained")
        panels = figure.subplots(1, len(_PANELS), sharey=True, squeeze=False).ravel()
        places = np.arange(len(rows))
        for axes, (name, title) in zip(panels, _PANELS, strict=True):
            values = [_figure(row, name) for row in rows]
            axes.barh(places, values, height=0.72, color=[_colour(row) for row in rows], zorder=2)
            for place, value in zip(places, values, strict=True):
                axes.text(value + 0.015, place, f"{value:.3f}", va="center", fontsize=7.5)
            axes.set_xlim(0, 1.13)
            axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
            axes.set_title(title)
        panels[0].set_yticks(places, [_name(row) for row in rows])
        panels[0].invert_yaxis()
        return to_svg(figure)


def cost_plot(rows: Sequence[Row]) -> str:
    """mAP over milliseconds an item, a mark a system and what it hears; larger marks are larger graphs.

    `rows` have figures and costs, at least one of them.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 4.2), layout="constrained")
        axes = figure.subplots()
        for row in rows:
            entry = row.entry
            if entry.inference_ms is None or entry.size_bytes is None:
                continue
            area = 12 + 6 * entry.size_bytes / 1e6
            axes.scatter(
                entry.inference_ms,
                _figure(row, "mean_ap"),
                s=area,
                color=_colour(row),
                alpha=0.75,
                edgecolors="none",
                zorder=3,
            )
            axes.annotate(
                f"{row.contest}: {entry.hears}",
                (entry.inference_ms, _figure(row, "mean_ap")),
                xytext=(5, 3),
                textcoords="offset points",
                fontsize=6.5,
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("ms an item, one thread (log)")
        axes.set_ylabel("mAP")
        axes.margins(x=0.12, y=0.1)
        axes.legend(
            handles=[Patch(color=BLUE, label="ours"), Patch(color=ORANGE, label="earlier systems")],
            frameon=False,
            loc="lower right",
        )
        axes.grid(color=FAINT)
        return to_svg(figure)


def _figure(row: Row, name: str) -> float:
    if row.entry.figures is None:
        raise ValueError(f"{row.entry.system} has no figures")
    return float(row.entry.figures.as_dict()[name])


def _colour(row: Row) -> str:
    if row.entry.system == OURS:
        return BLUE
    return ORANGE if row.entry.size_bytes is not None else INK


def _name(row: Row) -> str:
    return f"{row.entry.system}, {row.entry.hears}" if row.entry.hears else row.entry.system
