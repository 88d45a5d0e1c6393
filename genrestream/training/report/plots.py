"""The page's plots as inline SVG; each is a pure function of what it shows.

The heat maps' cividis was made for colour-blind readers (Nuñez et al. 2018).
"""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray

from genrestream.training.metrics import CALIBRATION_BINS, Reliability
from genrestream.training.report.drawing import BLUE, INK, ORANGE, STYLE, to_svg
from genrestream.training.report.findings import ComparedNetwork
from genrestream.training.report.words import shortened

_CELL_IN = 0.235
MIN_SIDE_IN = 2.0
"""Of a heat map: beside less there would be no room for its scale and titles."""
_MOST_ANNOTATED = 12
"""Labels of a heat map whose cells hold their number; with more it could not be read."""
_LABEL_CHARS = 22
_COLUMNS = 4
MIN_BIN_COUNT = 10
"""A bin of fewer confidences is a hollow mark beside the line: a share of three says nothing."""


def reliability_plot(panels: Mapping[str, Reliability]) -> str:
    """What each confidence came to, above how often it was said: a column a panel, by its title."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.4 * len(panels), 4.6), layout="constrained")
        axes = figure.subplots(2, len(panels), sharex=True, squeeze=False, height_ratios=[3.2, 1])
        for column, (title, found) in enumerate(panels.items()):
            above, below = axes[0, column], axes[1, column]
            _reliability_axes(above)
            _reliability_line(above, found, BLUE, "o")
            above.set_title(f"{title} · ECE {found.ece:.3f} ({found.ece_by_chance:.3f} by chance)")
            above.set_ylabel("share that was right")
            middle = (np.arange(CALIBRATION_BINS) + 0.5) / CALIBRATION_BINS
            below.bar(middle, found.counts, width=0.9 / CALIBRATION_BINS, color=BLUE)
            # Most confidences of most labels are near 0: on a linear scale nothing else would be seen.
            below.set_yscale("symlog", linthresh=10)
            below.set_yticks([0, *_tens(int(found.counts.max(initial=0)))])
            below.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            below.minorticks_off()
            below.set_ylabel("count")
            below.set_xlabel("confidence")
        return to_svg(figure)


def slices_plot(slices: Mapping[str, tuple[Reliability, Reliability]]) -> str:
    """A small reliability diagram a slice: of all labels, and of the best one."""
    with mpl.rc_context(STYLE):
        rows = -(-len(slices) // _COLUMNS)
        columns = min(_COLUMNS, len(slices))
        figure = Figure(figsize=(2.5 * columns + 0.4, 2.6 * rows + 0.4), layout="constrained")
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, (name, (every, best)) in zip(grid, slices.items(), strict=False):
            _reliability_axes(axes)
            _reliability_line(axes, every, BLUE, "o", "all labels")
            _reliability_line(axes, best, ORANGE, "s", "best label")
            axes.set_title(f"{name}\nECE {every.ece:.3f} and {best.ece:.3f}")
        for axes in grid[len(slices) :]:
            axes.set_visible(False)
        grid[0].legend(frameon=False, loc="upper left", fontsize=8)
        figure.supxlabel("confidence", fontsize=9)
        figure.supylabel("share that was right", fontsize=9)
        return to_svg(figure)


def curves_plot(curves: Sequence[Mapping[str, Sequence[float]]]) -> str:
    """A panel a branch: the loss on what each part left out, with its best epoch, and their mean."""
    with mpl.rc_context(STYLE):
        names = list(curves[0])
        figure = Figure(figsize=(2.7 * len(names) + 0.3, 2.8), layout="constrained")
        grid = figure.subplots(1, len(names), squeeze=False).ravel()
        for axes, name in zip(grid, names, strict=True):
            best = []
            for part in curves:
                losses = np.asarray(part[name])
                best.append(int(np.argmin(losses)))
                axes.plot(np.arange(1, len(losses) + 1), losses, color=BLUE, linewidth=1.1, alpha=0.75)
                axes.plot(best[-1] + 1, losses[best[-1]], "o", color=ORANGE, markersize=4)
            axes.axvline(1 + float(np.mean(best)), color=ORANGE, linewidth=1, linestyle="--")
            axes.set_title(name)
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        grid[0].set_ylabel("loss an item")
        return to_svg(figure)


def networks_plot(networks: Mapping[str, ComparedNetwork]) -> str:
    """A panel a network: the loss in training and the one that stopped it, with the epoch that was kept."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.6 * len(networks) + 0.3, 3.0), layout="constrained")
        grid = figure.subplots(1, len(networks), sharey=True, squeeze=False).ravel()
        for axes, (name, network) in zip(grid, networks.items(), strict=True):
            epochs = np.arange(1, len(network.validation_losses) + 1)
            axes.plot(epochs, network.train_losses, "o-", color=BLUE, markersize=3, label="training")
            axes.plot(epochs, network.validation_losses, "s-", color=ORANGE, markersize=3, label="validation")
            axes.axvline(network.best_epoch, color=ORANGE, linewidth=1, linestyle="--")
            axes.set_title(name)
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        grid[0].set_ylabel("loss an item")
        grid[0].legend(frameon=False, fontsize=8)
        return to_svg(figure)


def heat_map(values: NDArray[np.float64], names: Sequence[str], row_title: str, column_title: str) -> str:
    """Shares [i, j] between labels as a square of cells; NaN is left blank."""
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        count = len(names)
        cell_in = _CELL_IN if count > _MOST_ANNOTATED else 2 * _CELL_IN
        side_in = max(MIN_SIDE_IN, count * cell_in)
        figure = Figure(figsize=(side_in + 3.0, side_in + 2.2), layout="constrained")
        axes = figure.subplots()
        top = max(0.05, float(np.nanmax(values, initial=0.0)))
        mesh = axes.pcolormesh(np.ma.masked_invalid(values), cmap="cividis", vmin=0, vmax=top)
        axes.set_aspect("equal")
        axes.invert_yaxis()
        shown = [shortened(name, _LABEL_CHARS) for name in names]
        axes.set_yticks(np.arange(count) + 0.5, shown)
        axes.set_xticks(np.arange(count) + 0.5, shown, rotation=90)
        axes.tick_params(length=0)
        axes.set_ylabel(row_title)
        axes.set_xlabel(column_title)
        axes.xaxis.set_label_position("top")
        for spine in axes.spines.values():
            spine.set_visible(False)
        if count <= _MOST_ANNOTATED:
            _annotate(axes, values, top)
        bar = figure.colorbar(mesh, shrink=min(1.0, 2.4 / side_in), format=PercentFormatter(1.0, decimals=0))
        bar.outline.set_visible(False)
        return to_svg(figure)


def _tens(most: int) -> list[int]:
    """The powers of ten from 10 to the one at or over `most`, at most four of them."""
    powers = range(1, max(2, len(str(most)) + 1))
    return [10**power for power in powers][:: -(-len(powers) // 4)]


def _annotate(axes: Axes, values: NDArray[np.float64], top: float) -> None:
    for row, column in np.argwhere(~np.isnan(values)):
        value = float(values[row, column])
        colour = "#000000" if value > 0.55 * top else "#ffffff"
        text = f"{100 * value:.0f}"
        axes.text(column + 0.5, row + 0.5, text, color=colour, ha="center", va="center", fontsize=8)


def _reliability_axes(axes: Axes) -> None:
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    # A little more than 0 to 1, so that no mark is cut.
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)


def _reliability_line(axes: Axes, found: Reliability, colour: str, marker: str, name: str = "") -> None:
    counts = np.maximum(1, found.counts)
    claimed, right = found.claimed / counts, found.right / counts
    many, few = found.counts >= MIN_BIN_COUNT, (found.counts > 0) & (found.counts < MIN_BIN_COUNT)
    axes.plot(claimed[many], right[many], marker, color=colour, linestyle="-", linewidth=1.4, label=name)
    axes.plot(claimed[few], right[few], marker, color=colour, markerfacecolor="none")
