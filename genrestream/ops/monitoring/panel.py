"""What a panel of the dashboard is made of, and the queries that most of them are."""

from dataclasses import dataclass

WORKERS = 'instance=~"$worker"'
BY_KIND = f'{WORKERS}, kind=~"$kind"'


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression, and what its series are called."""

    expr: str
    legend: str = ""
    form: str = "time_series"


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel of a row."""

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str = "short"
    type: str = "timeseries"
    width: int = 8
    height: int = 8
    stacked: bool = False
    alarm: float | None = None
    """From this value on a number is red."""


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and the panels under it."""

    title: str
    panels: tuple[Panel, ...]


def quantile(share: float, metric: str, by: str, where: str) -> str:
    """The share's quantile of a histogram."""
    inner = f"sum by ({by}, le) (rate({metric}_bucket{{{where}}}[$__rate_interval]))"
    return f"histogram_quantile({share}, {inner})"


def quantiles(metric: str, by: str, where: str) -> tuple[Query, ...]:
    """Median and 99th percentile of a histogram."""
    return tuple(
        Query(quantile(share, metric, by, where), f"{{{{{by}}}}} p{share * 100:g}") for share in (0.5, 0.99)
    )


def rate(metric: str, by: str, where: str = WORKERS) -> str:
    """A counter's increase a second, by a label."""
    return f"sum by ({by}) (rate({metric}{{{where}}}[$__rate_interval]))"


def total(metric: str, where: str) -> str:
    """A counter's increase a second, over all."""
    return f"sum(rate({metric}{{{where}}}[$__rate_interval]))"


def stat(title: str, description: str, expr: str, unit: str = "short", alarm: float | None = None) -> Panel:
    """A panel of one number."""
    return Panel(title, description, (Query(expr),), unit, "stat", width=4, height=4, alarm=alarm)
