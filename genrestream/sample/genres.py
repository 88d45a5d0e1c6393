"""What the genres of the sample are made of: words, looks and sounds, read from `vocabulary/*.yaml`."""

from functools import cache
from importlib.resources import files
from typing import Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field

from genrestream.schemas import Kind

Shape = Literal["grid", "circles", "zigzags", "blobs", "rays", "waves", "frames"]
Layout = Literal["top", "centre", "bottom", "left"]
Texture = Literal["smooth", "grain", "scanlines", "halftone"]
Instrument = Literal["sine", "square", "saw", "organ", "piano", "pluck", "strings", "reed", "guitar"]
Scale = Literal["major", "minor", "dorian", "phrygian", "blues"]

STEPS_A_BAR = 16
Steps = Field(pattern=rf"^[x.]{{{STEPS_A_BAR}}}$", description="Sixteenths of a bar: x sounds, . rests.")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Look(_Part):
    """How pictures of a genre look."""

    hues: tuple[float, float] = Field(description="Two hues on the circle 0..1.")
    darkness: float = Field(ge=0, le=1)
    shapes: Shape
    layout: Layout
    texture: Texture


class Sound(_Part):
    """How tracks of a genre sound."""

    tempo_bpm: tuple[int, int]
    scale: Scale
    drive: float = Field(ge=0, le=1, description="How far chords are overdriven.")
    swing: float = Field(ge=0, le=1, description="How late every second eighth comes, in sixteenths.")
    lead: Instrument
    lead_density: float = Field(ge=0, le=1, description="Share of the sixteenths where the lead plays.")
    chords: Instrument
    chord_steps: str = Steps
    bass: Instrument
    bass_steps: str = Steps
    kick: str = Steps
    snare: str = Steps
    hat: str = Steps


class Genre(_Part):
    """One genre of a kind."""

    weight: float = Field(gt=0, description="How often it is an item's first genre, relative to the others.")
    related: tuple[str, ...] = Field(min_length=1, description="What second and third genres come from.")
    things: tuple[str, ...] = Field(min_length=8)
    words: dict[str, tuple[str, ...]] = Field(description="Words in other scripts.")
    picture: Look
    sound: Sound | None = None


class KindVocabulary(_Part):
    """What all items of a kind are made of."""

    titles: tuple[str, ...]
    sentences: tuple[str, ...]
    plain_sentences: tuple[str, ...]
    shared: tuple[str, ...]
    genres: dict[str, Genre]


class Script(_Part):
    """Titles and sentences of a language in another script."""

    titles: tuple[str, ...]
    sentences: tuple[str, ...]


class Names(_Part):
    """Invented people and places, the same for all kinds."""

    first_names: tuple[str, ...]
    surnames: tuple[str, ...]
    places: tuple[str, ...]
    venues: tuple[str, ...]
    collectives: tuple[str, ...]
    colours: tuple[str, ...]
    objects: tuple[str, ...]
    scripts: dict[str, Script]


_Model = TypeVar("_Model", bound=BaseModel)


def _read(name: str, model: type[_Model]) -> _Model:
    text = files("genrestream.sample").joinpath("vocabulary", f"{name}.yaml").read_text("utf-8")
    return model.model_validate(yaml.safe_load(text))


@cache
def kind_vocabulary(kind: Kind) -> KindVocabulary:
    """The words, looks and sounds of a kind's genres."""
    return _read(kind.value, KindVocabulary)


@cache
def names() -> Names:
    """The invented people and places."""
    return _read("names", Names)
