"""The rules of compatibility, each on the smallest schema that shows it."""

import pytest

from genrestream.schemas.compatibility import Promise, breaking_changes


def record(required=(), **properties):
    return {"type": "object", "properties": properties, "required": list(required)}


TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 1, "maximum": 10}
OPTIONAL = {"anyOf": [TEXT, {"type": "null"}], "default": None}

HARMLESS_FOR_BOTH = {
    "nothing": (record(a=TEXT), record(a=TEXT)),
    "a new optional field": (record(a=TEXT), record(a=TEXT, b=TEXT)),
    "words": (record(a=TEXT), record(a={**TEXT, "description": "An a.", "title": "A"})),
    "a definition moved": (
        record(a=TEXT),
        {**record(a={"$ref": "#/$defs/A"}), "$defs": {"A": TEXT}},
    ),
    "a union in another order": (
        record(a={"anyOf": [TEXT, COUNT]}),
        record(a={"anyOf": [COUNT, TEXT]}),
    ),
    "a constant written as a list": (record(a={"const": "x"}), record(a={"enum": ["x"], "type": "string"})),
}

# Published, current, and what that breaks for those who wrote (READ) and those who read (WRITE).
CHANGES = {
    "a new required field": (record(a=TEXT), record(["b"], a=TEXT, b=TEXT), ["b: is required now"], []),
    "a field required now": (record(a=TEXT), record(["a"], a=TEXT), ["a: is required now"], []),
    "a field optional now": (record(["a"], a=TEXT), record(a=TEXT), [], ["a: may be missing now"]),
    "a removed field": (record(a=TEXT, b=TEXT), record(a=TEXT), ["b: is removed"], ["b: is removed"]),
    "a field nullable now": (record(a=TEXT), record(a=OPTIONAL), [], ["a: may be null now"]),
    "a field not null now": (record(a=OPTIONAL), record(a=TEXT), ["a: takes no null now"], []),
    "an integer becomes a number": (
        record(a={"type": "integer"}),
        record(a={"type": "number"}),
        [],
        ["a: may be number now"],
    ),
    "another type": (
        record(a=TEXT),
        record(a={"type": "integer"}),
        ["a: takes no string now"],
        ["a: may be integer now"],
    ),
    "a lower maximum": (
        record(a=COUNT),
        record(a={**COUNT, "maximum": 9}),
        ["a: maximum is 9 now, was 10"],
        [],
    ),
    "a higher maximum": (
        record(a=COUNT),
        record(a={**COUNT, "maximum": 11}),
        [],
        ["a: maximum is 11 now, was 10"],
    ),
    "no maximum": (
        record(a=COUNT),
        record(a={"type": "integer", "minimum": 1}),
        [],
        ["a: maximum is none now, was 10"],
    ),
    "a higher minimum length": (
        record(a=TEXT),
        record(a={**TEXT, "minLength": 1}),
        ["a: minLength is 1 now, was none"],
        [],
    ),
    "another pattern": (
        record(a={**TEXT, "pattern": "^a"}),
        record(a={**TEXT, "pattern": "^b"}),
        ["a: pattern is ^b now, was ^a"],
        ["a: pattern is ^b now, was ^a"],
    ),
    "a format": (
        record(a=TEXT),
        record(a={**TEXT, "format": "date-time"}),
        ["a: format is date-time now, was none"],
        [],
    ),
    "a value more": (
        record(a={"enum": ["x"], "type": "string"}),
        record(a={"enum": ["x", "y"], "type": "string"}),
        [],
        ["a: may be 'y' now"],
    ),
    "a value less": (
        record(a={"enum": ["x", "y"], "type": "string"}),
        record(a={"enum": ["x"], "type": "string"}),
        ["a: does not take 'y' now"],
        [],
    ),
    "a list of values": (
        record(a=TEXT),
        record(a={"enum": ["x"], "type": "string"}),
        ["a: takes a few values only now"],
        [],
    ),
    "any value": (
        record(a={"enum": ["x"], "type": "string"}),
        record(a=TEXT),
        [],
        ["a: may be any value now"],
    ),
    "an alternative less": (
        record(a={"anyOf": [TEXT, record(["url"], url=TEXT)]}),
        record(a=record(["url"], url=TEXT)),
        ["a: takes no string now"],
        [],
    ),
    "a change inside an alternative": (
        record(a={"anyOf": [record(["url"], url=TEXT), {"type": "null"}]}),
        record(a={"anyOf": [record(["url"], url=COUNT), {"type": "null"}]}),
        ["a.url: takes no string now"],
        ["a.url: may be integer now"],
    ),
    "a change inside a list": (
        record(a={"type": "array", "items": COUNT}),
        record(a={"type": "array", "items": TEXT}),
        ["a[]: takes no integer now"],
        ["a[]: may be string now"],
    ),
    "a change of a place in a tuple": (
        record(a={"type": "array", "prefixItems": [COUNT, COUNT]}),
        record(a={"type": "array", "prefixItems": [COUNT, TEXT]}),
        ["a[1]: takes no integer now"],
        ["a[1]: may be string now"],
    ),
    "a change behind a reference": (
        {**record(a={"$ref": "#/$defs/A"}), "$defs": {"A": record(b=TEXT)}},
        {**record(a={"$ref": "#/$defs/A"}), "$defs": {"A": record(b=COUNT)}},
        ["a.b: takes no string now"],
        ["a.b: may be integer now"],
    ),
    "a limit beside a reference": (
        {**record(a={"$ref": "#/$defs/A"}), "$defs": {"A": TEXT}},
        {**record(a={"$ref": "#/$defs/A", "maxLength": 5}), "$defs": {"A": TEXT}},
        ["a: maxLength is 5 now, was none"],
        [],
    ),
    "a limit beside alternatives": (
        record(a={"anyOf": [TEXT, COUNT]}),
        record(a={"anyOf": [TEXT, COUNT], "type": "string"}),
        ["a: takes no integer now"],
        [],
    ),
    "unknown fields refused": (
        record(a=TEXT),
        {**record(a=TEXT), "additionalProperties": False},
        ["the record: unknown fields are refused now"],
        [],
    ),
    "a new field where unknown ones were refused": (
        {**record(a=TEXT), "additionalProperties": False},
        {**record(a=TEXT, b=TEXT), "additionalProperties": False},
        [],
        ["b: is new, where unknown fields were refused"],
    ),
    "another type of a map's values": (
        record(a={"type": "object", "additionalProperties": COUNT}),
        record(a={"type": "object", "additionalProperties": TEXT}),
        ["a.*: takes no integer now"],
        ["a.*: may be string now"],
    ),
    "fewer names of a map": (
        record(a={"type": "object", "propertyNames": {"enum": ["x", "y"]}}),
        record(a={"type": "object", "propertyNames": {"enum": ["x"]}}),
        ["a.(name): does not take 'y' now"],
        [],
    ),
    "a keyword unknown here": (
        record(a=TEXT),
        record(a={**TEXT, "not": {"const": ""}}),
        ["a: not differs, and this check does not know what it means"],
        [],
    ),
}


@pytest.mark.parametrize(("published", "current"), HARMLESS_FOR_BOTH.values(), ids=HARMLESS_FOR_BOTH)
def test_harmless_for_readers_and_writers(published, current):
    """What changes no promise is reported to nobody."""
    assert breaking_changes(published, current, Promise.READ | Promise.WRITE) == []


@pytest.mark.parametrize(("published", "current", "reading", "writing"), CHANGES.values(), ids=CHANGES)
def test_change(published, current, reading, writing):
    """A change is reported, in one line a place, to those whose records it breaks, and to nobody else."""
    assert breaking_changes(published, current, Promise.READ) == reading
    assert breaking_changes(published, current, Promise.WRITE) == writing


def test_both_promises_add_up():
    """A record that is written and read keeps both promises; what breaks both is said once."""
    published, current = record(a=TEXT, b=TEXT), record(a=OPTIONAL)
    assert breaking_changes(published, current, Promise.READ | Promise.WRITE) == [
        "b: is removed",
        "a: may be null now",
    ]


def test_a_schema_that_refers_to_itself_ends():
    """A recursive definition is compared once a level, not for ever."""
    tree = {"$defs": {"T": record(child={"$ref": "#/$defs/T"}, a=TEXT)}, "$ref": "#/$defs/T"}
    other = {"$defs": {"T": record(child={"$ref": "#/$defs/T"}, a=COUNT)}, "$ref": "#/$defs/T"}
    assert breaking_changes(tree, other, Promise.READ) == ["a: takes no string now"]
