"""What a run holds: parameters of what was asked for and found, and figures. Pure; MLflow is not known here.

The figures are those of the candidate's `report.json`, under the same names with slashes between.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from genrestream.schemas.releases import Gate, Release
from genrestream.training.skipped import IN_WORDS

if TYPE_CHECKING:
    from genrestream.training.recipes.spec import RecipeSpec
    from genrestream.training.request import TrainRequest

_FIGURES = (
    *("test", "slices", "baselines", "compared", "curves"),
    *("near_duplicates_joined", "frozen_split"),
    *IN_WORDS,
)
"""What of a report goes into its run; the file itself is kept beside it."""
_PLACES = frozenset({"models", "store"})
"""Of a request: where things are kept, which changes no figure."""
_NOT_IN_NAMES = re.compile(r"[^\w.\- :/]")
"""What MLflow does not take in the name of a figure."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure, or one epoch of a curve."""

    name: str
    value: float
    step: int = 0
    """The epoch from 1; 0 for what was measured once."""


def asked_for(request: "TrainRequest", recipe: "RecipeSpec | None") -> dict[str, Any]:
    """What a training was asked for, by name; of a recipe all of its file."""
    asked = {name: value for name, value in asdict(request).items() if name not in _PLACES}
    fit = asked.pop("fit")
    if recipe is None:
        return {**asked, **fit}
    # The rest of the fit, and the encoders, are the recipe's.
    del asked["encoders"]
    fit = {name: fit[name] for name in ("seed", "device")}
    return {**asked, **fit, "recipe": recipe.model_dump(mode="json")}


def asked_params(asked: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a training that begins; sets go by their folders' names, wherever they lie."""
    shown = {**asked, "sets": [folder.name for folder in asked["sets"]]}
    if "recipe" in asked:
        shown["recipe"] = {name: value for name, value in asked["recipe"].items() if name != "description"}
    return dict(_params(shown))


def found_params(release: Release, report: Mapping[str, Any], folds: Mapping[str, int]) -> dict[str, str]:
    """The parameters that only the training could tell; `folds` are the numbers of their items."""
    hashed = release.features.hashed_text
    found = {
        "labels": len(release.labels),
        "modalities": "+".join(release.modalities),
        "encoder": {
            modality: f"{encoder.model} version {encoder.version}"
            for modality, encoder in release.encoders.items()
        },
        "hashed_word_buckets": None if hashed is None else hashed.word_buckets,
        "feature_hash": release.feature_hash,
        "taxonomy_version": release.taxonomy_version,
        "items_of_set": json.dumps(release.trained_on),
        "fold": folds,
        "loss_used": report.get("loss"),
    }
    return dict(_params(found))


def measured(
    report: Mapping[str, Any], gates: Iterable[Gate], seconds: Mapping[str, float]
) -> list[Measured]:
    """The figures of a report, of the gates, and the seconds by step and in all."""
    found = [figure for name in _FIGURES if name in report for figure in _figures(name, report[name])]
    for gate in gates:
        found += _gate_figures(f"gates/{gate.rival}/{gate.figure}", gate)
    if report.get("loss_gate") is not None:
        found += _gate_figures("loss_gate", Gate.model_validate(report["loss_gate"]))
    return [*found, *_figures("seconds", {**seconds, "all": sum(seconds.values())})]


def _params(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Each value by its path, with dots between; what is not set is left out."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _params(part, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        yield name, ", ".join(map(str, value))
    elif value is not None and value != "":
        yield name, str(value)


def _figures(name: str, value: Any) -> Iterator[Measured]:
    """Each number by its path, with slashes between; a list of numbers is a curve, other lists are parts."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _figures(f"{name}/{key}", part)
    elif isinstance(value, list | tuple):
        for place, part in enumerate(value, start=1):
            if isinstance(part, int | float):
                yield Measured(_allowed(name), float(part), place)
            else:
                yield from _figures(f"{name}/part {place}", part)
    elif isinstance(value, int | float):
        yield Measured(_allowed(name), float(value))


def _gate_figures(name: str, gate: Gate) -> Iterator[Measured]:
    low, high = gate.lead or (None, None)
    shown = {
        "other": gate.other,
        "wins": gate.wins,
        "lead_low": low,
        "lead_high": high,
        "passed": gate.passed,
    }
    return _figures(name, shown)


def _allowed(name: str) -> str:
    """The name as MLflow takes it: `text+image` is `text-image`."""
    return _NOT_IN_NAMES.sub("-", name)
