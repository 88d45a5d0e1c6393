"""What each value of an enumeration means, taken from the docstring under it in the source."""

import ast
import inspect
import textwrap
from enum import Enum
from itertools import pairwise
from typing import Any


def member_docs(members: type[Enum]) -> dict[str, str]:
    """The docstring under each member, by the member's value; members without one are left out."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(members))).body[0]
    statements = definition.body if isinstance(definition, ast.ClassDef) else []
    documented: dict[str, str] = {}
    for statement, following in pairwise(statements):
        match statement, following:
            case (
                ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                documented[str(members[name].value)] = " ".join(text.split())
    return documented


def described(members: type[Enum]) -> dict[str, Any]:
    """The JSON Schema of an enumeration of strings: the class's docstring, then a line for each value."""
    lines = [" ".join((inspect.getdoc(members) or "").split())]
    if documented := member_docs(members):
        lines += ["", *(f"- `{value}`: {text}" for value, text in documented.items())]
    return {
        "description": "\n".join(lines).strip(),
        "enum": [member.value for member in members],
        "type": "string",
    }
