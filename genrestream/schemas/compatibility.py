"""Whether a schema still keeps what its published form promised.

Two promises, one comparison. Reading: values that were valid stay valid. Writing: values that we may give now
were allowed before. Both say that what one side gives, the other side takes; only the sides change places.
The comparison is conservative: what it cannot prove to be harmless it reports.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import Any

Schema = Mapping[str, Any]

_ANNOTATIONS = {
    *("$comment", "$defs", "$id", "$schema", "default", "deprecated", "description", "discriminator"),
    *("examples", "readOnly", "title", "writeOnly"),
}
_LOWER_LIMITS = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER_LIMITS = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_EXACT = ("pattern", "format", "multipleOf", "uniqueItems", "contentEncoding")
_STRUCTURE = {
    *("$ref", "type", "enum", "const", "anyOf", "oneOf", "properties", "required", "additionalProperties"),
    *("propertyNames", "items", "prefixItems"),
}
_KNOWN = _ANNOTATIONS | _STRUCTURE | {*_LOWER_LIMITS, *_UPPER_LIMITS, *_EXACT}
_ANY_TYPE = {"null", "boolean", "integer", "number", "string", "array", "object"}


class Promise(Flag):
    """What a published schema promises to those outside."""

    READ = auto()
    """We read what others wrote by it: all of that stays readable, and no field of it comes to be ignored."""
    WRITE = auto()
    """Others read what we write: nothing comes that it did not allow, and no field of it goes away."""


def breaking_changes(
    published: Schema, current: Schema, promise: Promise, refused: Sequence[str] = ()
) -> list[str]:
    """What of `published` the `current` JSON Schema breaks, a line each; empty when it is compatible.

    Understands the keywords that pydantic writes, with references inside the document. At the paths `refused`
    and below them others refuse fields that they do not know, and are meant to: new ones may come.
    """
    found: list[str] = []
    if Promise.READ in promise:
        found += _Comparison(given=published, taking=current, reading=True).at("", published, current)
    if Promise.WRITE in promise:
        comparison = _Comparison(given=current, taking=published, reading=False, refused=tuple(refused))
        found += comparison.at("", current, published)
    return list(dict.fromkeys(found))


def _resolved(root: Schema, schema: Any) -> Schema:
    """The schema behind a reference inside its document; `true` is the schema that takes everything."""
    while isinstance(schema, Mapping) and "$ref" in schema:
        target: Any = root
        for part in schema["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        schema = {**target, **{keyword: schema[keyword] for keyword in schema if keyword != "$ref"}}
    if schema is True:
        return {}
    return {"enum": []} if schema is False else schema


def _types(schema: Schema) -> set[str]:
    """The JSON types that a schema allows; every integer is a number."""
    declared = schema.get("type")
    if declared is None:
        values = _values(schema)
        return _ANY_TYPE if values is None else {_type_of(value) for value in values}
    types = {declared} if isinstance(declared, str) else set(declared)
    return types | {"integer"} if "number" in types else types


def _type_of(value: Any) -> str:
    for kind, name in (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
    ):
        if isinstance(value, kind):
            return name
    return "null" if value is None else "object"


def _values(schema: Schema) -> list[Any] | None:
    """The closed list of values that a schema allows, or None."""
    if "const" in schema:
        return [schema["const"]]
    return schema.get("enum")


def _alternatives(schema: Schema) -> list[Any]:
    return [*schema.get("anyOf", ()), *schema.get("oneOf", ())]


@dataclass
class _Comparison:
    """Why something that `given` allows might not be taken by `taking`."""

    given: Schema
    taking: Schema
    reading: bool
    """True: `given` is the published form. False: `taking` is."""
    refused: tuple[str, ...] = ()
    """Paths at which fields that `taking` does not know may come."""
    _under_way: set[tuple[str, str]] = field(default_factory=set)

    def at(self, path: str, given: Any, taking: Any) -> list[str]:
        """The reasons at `path` and below it."""
        pair = (_reference(given), _reference(taking))
        if all(pair) and pair in self._under_way:
            return []
        self._under_way.add(pair)
        try:
            return list(self._reasons(path, _resolved(self.given, given), _resolved(self.taking, taking)))
        finally:
            self._under_way.discard(pair)

    def _reasons(self, path: str, given: Schema, taking: Schema) -> Iterator[str]:
        if not set(taking) - _ANNOTATIONS:
            return
        if alternatives := _alternatives(given):
            for alternative in alternatives:
                yield from self.at(path, alternative, taking)
            return
        if alternatives := _alternatives(taking):
            # The alternative that fits best speaks for all of them.
            yield from min((self.at(path, given, alternative) for alternative in alternatives), key=len)
            beside = {keyword: taking[keyword] for keyword in taking if keyword not in ("anyOf", "oneOf")}
            yield from self._reasons(path, given, beside)
            return
        if (wrong := list(self._wrong_types(path, given, taking))) or _values(given) == []:
            yield from wrong
            return
        yield from self._wrong_values(path, given, taking)
        yield from self._wrong_limits(path, given, taking)
        yield from self._wrong_fields(path, given, taking)
        yield from self._wrong_elements(path, given, taking)
        for keyword in sorted(set(taking) - _KNOWN):
            if given.get(keyword) != taking[keyword]:
                differs = f"{keyword} differs, and this check does not know what it means"
                yield self._say(path, differs, differs)

    def _say(self, path: str, reading: str, writing: str) -> str:
        return f"{path or 'the record'}: {reading if self.reading else writing}"

    def _wrong_types(self, path: str, given: Schema, taking: Schema) -> Iterator[str]:
        if extra := " or ".join(sorted(_types(given) - _types(taking))):
            yield self._say(path, f"takes no {extra} now", f"may be {extra} now")

    def _wrong_values(self, path: str, given: Schema, taking: Schema) -> Iterator[str]:
        allowed, possible = _values(taking), _values(given)
        if allowed is None:
            return
        if possible is None:
            yield self._say(path, "takes a few values only now", "may be any value now")
            return
        for value in possible:
            if value not in allowed:
                yield self._say(path, f"does not take {value!r} now", f"may be {value!r} now")

    def _wrong_limits(self, path: str, given: Schema, taking: Schema) -> Iterator[str]:
        for keyword in (*_LOWER_LIMITS, *_UPPER_LIMITS):
            inside, limit = given.get(keyword), taking.get(keyword)
            if limit is None or _values(given) is not None:
                continue
            if inside is None or (inside < limit if keyword in _LOWER_LIMITS else inside > limit):
                yield self._changed(path, keyword, inside, limit)
        for keyword in _EXACT:
            if taking.get(keyword) is not None and given.get(keyword) != taking[keyword]:
                yield self._changed(path, keyword, given.get(keyword), taking[keyword])

    def _changed(self, path: str, keyword: str, given: Any, taking: Any) -> str:
        inside, limit = _shown(given), _shown(taking)
        return self._say(
            path, f"{keyword} is {limit} now, was {inside}", f"{keyword} is {inside} now, was {limit}"
        )

    def _wrong_fields(self, path: str, given: Schema, taking: Schema) -> Iterator[str]:
        gives, takes = given.get("properties", {}), taking.get("properties", {})
        rest_given, rest_taking = (side.get("additionalProperties", True) for side in (given, taking))
        always = set(given.get("required", ()))
        for name in taking.get("required", ()):
            if name not in always:
                yield self._say(_below(path, name), "is required now", "may be missing now")
        for name in {**gives, **takes}:
            below = _below(path, name)
            if name in gives and name in takes:
                yield from self.at(below, gives[name], takes[name])
            elif (name in gives) == self.reading:
                yield f"{below}: is removed"
            elif name in gives and rest_taking is False and not self._may_refuse(path):
                yield f"{below}: is new, where unknown fields were refused"
        if rest_taking is False and rest_given is not False:
            yield self._say(path, "unknown fields are refused now", "unknown fields may come now")
        elif "object" in _types(given) and rest_given is not False:
            yield from self.at(_below(path, "*"), rest_given, rest_taking)
        if "propertyNames" in taking:
            names = given.get("propertyNames", True)
            yield from self.at(_below(path, "(name)"), names, taking["propertyNames"])

    def _may_refuse(self, path: str) -> bool:
        return any(path == place or path.startswith(f"{place}.") for place in self.refused)

    def _wrong_elements(self, path: str, given: Schema, taking: Schema) -> Iterator[str]:
        if "array" not in _types(given):
            return
        first_given, first_taking = given.get("prefixItems", []), taking.get("prefixItems", [])
        rest_given, rest_taking = given.get("items", True), taking.get("items", True)
        for place in range(max(len(first_given), len(first_taking))):
            gives = first_given[place] if place < len(first_given) else rest_given
            takes = first_taking[place] if place < len(first_taking) else rest_taking
            yield from self.at(f"{path}[{place}]", gives, takes)
        yield from self.at(f"{path}[]", rest_given, rest_taking)


def _reference(schema: Any) -> str:
    return str(schema.get("$ref", "")) if isinstance(schema, Mapping) else ""


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)
