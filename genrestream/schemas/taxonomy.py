"""Taxonomies: the canonical labels of a task, and how each source's own labels map onto them.

A taxonomy is a YAML file in `taxonomies/`, named like the file. Its version stands in every release and label
record, so that a reader knows what a label meant; `new_version_reasons` says when it has to be raised.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property
from importlib import resources
from typing import Annotated, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from genrestream.schemas.releases import NAME

AS_GIVEN = "as-given"
"""The taxonomy of a set whose labels are used as they stand."""

MAX_LABEL_CHARS = 100

Label = Annotated[str, Field(min_length=1, max_length=MAX_LABEL_CHARS, pattern=r"^\S(.*\S)?$")]


class TaxonomyError(Exception):
    """There is no such taxonomy or source, a file is wrong, or a label has no place; one line for people."""


class Unmapped(StrEnum):
    """What becomes of a source's label that its map does not know."""

    REJECT = "reject"
    """An error: for sources whose list of labels is closed."""
    DROP = "drop"
    """The label is left out; the item keeps its others, perhaps none."""
    OTHERS = "others"
    """The label becomes the one that `others` names."""


def normalised(label: str) -> str:
    """The form in which source labels are compared: NFKC, case-folded, single spaces, `&` read as `and`."""
    text = unicodedata.normalize("NFKC", label).casefold().replace("&", " and ")
    return " ".join(text.split())


def merge_tail(counts: Mapping[str, int], keep: int, others: str) -> dict[str, str]:
    """Each label's canonical one when the `keep` most frequent stand for themselves, the rest for `others`.

    Equal counts are ranked by name, so that the same counts always give the same map.
    """
    ranked = sorted(counts, key=lambda label: (-counts[label], label))
    return {label: label if rank < keep else others for rank, label in enumerate(ranked)}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TailMerge(_Frozen):
    """That a map came about by `merge_tail`, and from which counts; the map is still written out."""

    keep: int = Field(ge=1, description="How many of the most frequent labels stand for themselves.")
    counts: dict[Label, Annotated[int, Field(ge=0)]] = Field(description="Items a source label.")


Targets = Annotated[
    tuple[Label, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    Field(min_length=1, description="One canonical label, or several where a source's label says several."),
]


class SourceMap(_Frozen):
    """How the labels of one source become canonical ones."""

    description: str
    unmapped: Unmapped
    others: Label | None = Field(default=None, description="The label of what is not in the map.")
    tail_merge: TailMerge | None = None
    map: dict[Label, Targets] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.unmapped is Unmapped.OTHERS) != (self.others is not None):
            raise ValueError("`others` is named when, and only when, `unmapped` is others")
        seen: dict[str, str] = {}
        for label in self.map:
            if (first := seen.setdefault(normalised(label), label)) != label:
                raise ValueError(f"{label!r} and {first!r} are the same label")
        if self.tail_merge is not None:
            if self.others is None:
                raise ValueError("a tail merge needs `others`")
            merged = merge_tail(self.tail_merge.counts, self.tail_merge.keep, self.others)
            if {label: (target,) for label, target in merged.items()} != self.map:
                raise ValueError("the map is not what the counts give")
        return self

    @cached_property
    def by_normalised(self) -> dict[str, tuple[str, ...]]:
        """The map with its keys in the form that labels are compared in."""
        return {normalised(label): targets for label, targets in self.map.items()}


class Taxonomy(_Frozen):
    """A closed list of canonical labels, a version, and a map for each source."""

    name: str = Field(pattern=NAME)
    version: int = Field(ge=1)
    description: str
    raise_version_when: str = Field(description="Which changes need a new version, in words.")
    labels: tuple[Label, ...] = Field(min_length=1)
    sources: dict[Annotated[str, Field(pattern=NAME)], SourceMap] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len({normalised(label) for label in self.labels}) != len(self.labels):
            raise ValueError("a canonical label stands twice")
        for name, source in self.sources.items():
            targets = {target for targets in source.map.values() for target in targets}
            if source.others is not None:
                targets.add(source.others)
            if unknown := sorted(targets - set(self.labels)):
                raise ValueError(f"source {name} maps to {unknown[0]!r}, which is no canonical label")
        return self

    def _source(self, source: str) -> SourceMap:
        try:
            return self.sources[source]
        except KeyError:
            known = ", ".join(sorted(self.sources)) or "none"
            raise TaxonomyError(f"taxonomy {self.name} has no source {source!r} (it has: {known})") from None

    def map(self, source: str, labels: Iterable[str]) -> tuple[str, ...]:
        """The canonical labels for a source's `labels`, each once, in order of first appearance.

        Raises:
            TaxonomyError: the source is unknown, or rejects a label that its map does not hold.
        """
        rules = self._source(source)
        known = rules.by_normalised
        mapped: dict[str, None] = {}
        for label in labels:
            targets = known.get(normalised(label))
            if targets is None:
                match rules.unmapped:
                    case Unmapped.REJECT:
                        raise TaxonomyError(f"taxonomy {self.name}, source {source}: no map for {label!r}")
                    case Unmapped.DROP:
                        continue
                    case Unmapped.OTHERS:
                        targets = (rules.others,) if rules.others else ()
            mapped.update(dict.fromkeys(targets))
        return tuple(mapped)

    def given_by(self, source: str) -> frozenset[str]:
        """The canonical labels that a source can give; an item of it says nothing of all others.

        Raises:
            TaxonomyError: the source is unknown.
        """
        rules = self._source(source)
        others = (rules.others,) if rules.others else ()
        return frozenset(others).union(*rules.map.values())

    def unmapped(self, source: str, labels: Iterable[str]) -> tuple[str, ...]:
        """Those of a source's `labels` that its map does not hold: to report, whatever their policy.

        Raises:
            TaxonomyError: the source is unknown.
        """
        known = self._source(source).by_normalised
        return tuple(label for label in labels if normalised(label) not in known)


@dataclass(frozen=True, slots=True)
class AsGiven:
    """The open taxonomy: whatever labels a set gives stand for themselves."""

    name: str = AS_GIVEN
    version: int = 1

    def map(self, source: str, labels: Iterable[str]) -> tuple[str, ...]:
        """The `labels` themselves, each once, in order of first appearance; the source plays no part."""
        return tuple(dict.fromkeys(labels))

    def unmapped(self, source: str, labels: Iterable[str]) -> tuple[str, ...]:
        """Nothing: every label stands."""
        return ()


def parse_taxonomy(text: str, file_name: str) -> Taxonomy:
    """The taxonomy written in a YAML `text`.

    Raises:
        TaxonomyError: the text is no YAML or no taxonomy; the message names the file and the first fault.
    """
    try:
        return Taxonomy.model_validate(yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise TaxonomyError(f"{file_name}: not YAML: {' '.join(str(error).split())}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "taxonomy"
        raise TaxonomyError(f"{file_name}: {where}: {first['msg']}") from error


def taxonomy_names() -> tuple[str, ...]:
    """The names of the taxonomies that come with the package, sorted; `as-given` is there besides."""
    folder = resources.files("genrestream.schemas") / "taxonomies"
    return tuple(
        sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    )


@cache
def taxonomy(name: str) -> Taxonomy | AsGiven:
    """The taxonomy called `name`.

    Raises:
        TaxonomyError: there is none of this name.
    """
    if name == AS_GIVEN:
        return AsGiven()
    if name not in taxonomy_names():
        known = ", ".join((AS_GIVEN, *taxonomy_names()))
        raise TaxonomyError(f"no taxonomy {name!r} (there are: {known})")
    file = resources.files("genrestream.schemas") / "taxonomies" / f"{name}.yaml"
    return parse_taxonomy(file.read_text(encoding="utf-8"), file.name)


def new_version_reasons(published: Taxonomy, current: Taxonomy) -> list[str]:
    """Why `current` needs a higher version than the `published` form of it; empty if it does not.

    A label that a reader knows must keep its meaning within a version. So a canonical label added, removed or
    moved (heads give confidences in this order) needs a new version, and so does a source label that maps
    elsewhere. A new source, or a source label that was not in the map before, does not.
    """
    reasons = []
    if published.labels != current.labels:
        before, after = set(published.labels), set(current.labels)
        reasons += [f"canonical label removed: {label}" for label in published.labels if label not in after]
        reasons += [f"canonical label added: {label}" for label in current.labels if label not in before]
        if before == after:
            reasons.append("canonical labels stand in another order")
    for name, source in published.sources.items():
        now = current.sources.get(name)
        if now is None:
            reasons.append(f"source removed: {name}")
            continue
        if (source.unmapped, source.others) != (now.unmapped, now.others):
            reasons.append(f"source {name}: another policy for the unmapped")
        known = now.by_normalised
        reasons += [
            f"source {name}: {label} maps elsewhere"
            for label, targets in source.map.items()
            if known.get(normalised(label)) != targets
        ]
    return reasons
