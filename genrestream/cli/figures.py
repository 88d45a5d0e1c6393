"""Figures of heads as a table."""

from collections.abc import Mapping

from rich.table import Table

from genrestream.training.metrics import Figures
from genrestream.training.set_figures import SetFigures


def figures_table(title: str, rows: Mapping[str, Figures]) -> Table:
    """A table of figures, a line each."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    # Short enough for 80 columns. micro, macro: F1. Hit: one label given is right; given: labels an item.
    for name in ("items", "top-1", "top-5", "micro", "macro", "mAP", "hit", "given", "ECE"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, found in rows.items():
        values = (found.top1, found.top5, found.micro_f1, found.macro_f1, found.mean_ap, found.at_least_one)
        table.add_row(
            name,
            str(found.items),
            *(f"{value:.3f}" for value in values),
            f"{found.labels_given:.2f}",
            f"{found.ece:.3f}",
        )
    return table


def sets_table(title: str, rows: Mapping[str, SetFigures]) -> Table:
    """A table of the figures of label sets, a line each."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in ("items", "hit", "precision", "recall", "F1", "top-1", "top-2", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, found in rows.items():
        shares = (found.at_least_one, found.precision, found.recall, found.f1, found.top1, found.top2)
        table.add_row(name, str(found.items), *(f"{value:.3f}" for value in shares), f"{found.set_size:.2f}")
    return table
