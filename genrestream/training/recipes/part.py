"""What all parts of a recipe's YAML file have in common."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A part of the file; what it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
