"""The options by which dead letters are chosen, the same for every command about them."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from genrestream.client.letters import MAX_LETTERS, Wanted
from genrestream.schemas import DeadLetterCode, Kind, Place

_AGO = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _moment(text: str) -> datetime:
    """So long ago, or a date and time; one without a time zone is local.

    Raises:
        typer.BadParameter: it is neither.
    """
    try:
        if ago := _AGO.fullmatch(text):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            "a moment is so long ago (90s, 30m, 2h, 7d), or a date and time such as 2026-03-01T12:00"
        ) from None


def _place(text: str) -> Place:
    try:
        return Place.parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]
Code = Annotated[DeadLetterCode | None, typer.Option(help="Only this code.")]
KindOption = Annotated[Kind | None, typer.Option(help="Only this kind.")]
Source = Annotated[
    str | None, typer.Option(help="Only this producer: its ce_source, or the topic where it gave none.")
]
Since = Annotated[
    datetime | None,
    typer.Option(parser=_moment, metavar="WHEN", help="Dead-lettered then or later: 2h, 7d, or a date."),
]
Until = Annotated[
    datetime | None, typer.Option(parser=_moment, metavar="WHEN", help="Dead-lettered before then.")
]
All = Annotated[bool, typer.Option("--all", help="Also those that are not open, with their state.")]
Limit = Annotated[int, typer.Option(min=1, max=MAX_LETTERS, help="The newest so many.")]
PlaceArgument = Annotated[
    Place,
    typer.Argument(parser=_place, metavar="PLACE", help="Where the item stood: TOPIC/PARTITION@OFFSET."),
]
PlacesArgument = Annotated[
    list[Place] | None,
    typer.Argument(parser=_place, metavar="PLACE", help="Only these: TOPIC/PARTITION@OFFSET."),
]


def wanted_letters(
    code: DeadLetterCode | None,
    kind: Kind | None,
    source: str | None,
    since: datetime | None,
    until: datetime | None,
    places: Iterable[Place] = (),
) -> Wanted:
    """What the options ask for."""
    return Wanted(code, kind, source, since, until, frozenset(places))
