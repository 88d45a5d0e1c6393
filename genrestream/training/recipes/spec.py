"""What a recipe's YAML file may say; every number is bounded, and what is unknown is an error."""

from importlib import resources
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from genrestream.schemas.items import Modality
from genrestream.schemas.releases import NAME
from genrestream.training.errors import TrainingError
from genrestream.training.recipes.part import Part
from genrestream.training.recipes.spec_audio import Balance, ElmoLstm, LogMelCnn, MfccCnn

MAX_FILE_BYTES = 64 * 1024
"""Of a recipe's file; ours have some 1 KiB."""
PUBLISHED_PX = 224
"""The side of the pictures that VGG16 was published with (Simonyan & Zisserman 2015, arXiv:1409.1556)."""
NO_WEIGHTS = "none"
IMAGENET = "imagenet"


class Vgg16(Part):
    """VGG16 on the whole picture, its head replaced by one layer of `embedding` units."""

    modality: ClassVar[Modality] = Modality.IMAGE
    network: Literal["vgg16"]
    width: float = Field(default=1.0, ge=0.02, le=1.0, description="Share of the published channels.")
    image_px: int = Field(default=PUBLISHED_PX, ge=32, le=512, description="Both sides.")
    batch_norm: bool = Field(default=False, description="After each convolution: from nothing it needs it.")
    weights: str = Field(default=NO_WEIGHTS, description="none, imagenet, or the path of a state dict.")
    trained_blocks: int = Field(default=5, ge=0, le=5, description="Of the five, the last so many learn.")
    embedding: int = Field(default=256, ge=4, le=4096)
    dropout: float = Field(default=0.5, ge=0.0, le=0.9)
    flip: bool = Field(default=True, description="Mirror half of the pictures in training, by chance.")
    rotation_deg: float = Field(default=10.0, ge=0.0, le=45.0, description="Turn by at most, in training.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.weights == IMAGENET and self.width != 1.0:
            raise ValueError("weights: imagenet are those of width 1")
        if self.weights == NO_WEIGHTS and self.trained_blocks < 5:
            raise ValueError("trained_blocks below 5 needs weights")
        return self

    def describe(self) -> str:
        """Its size beside the published one."""
        return (
            f"VGG16 of width {self.width:g} on {self.image_px} px "
            f"(published: 1 on {PUBLISHED_PX}), weights from {self.weights}"
        )


class Gru(Part):
    """Lemmas without stop-words, an embedding of each, and the last state of a GRU over them."""

    modality: ClassVar[Modality] = Modality.TEXT
    network: Literal["gru"]
    language: Literal["en"] = Field(default="en", description="Whose stop-words and lemmas.")
    vocabulary: int = Field(default=10_000, ge=10, le=200_000, description="Lemmas, the most frequent.")
    min_count: int = Field(default=2, ge=1, le=1000, description="Times that a lemma stands in training.")
    max_tokens: int = Field(default=128, ge=8, le=1024)
    word_dim: int = Field(default=128, ge=4, le=1024)
    hidden: int = Field(default=128, ge=4, le=2048, description="The state's size, which is the embedding's.")
    dropout: float = Field(default=0.5, ge=0.0, le=0.9)

    def describe(self) -> str:
        """Its size."""
        return f"GRU of {self.hidden} over {self.max_tokens} of {self.vocabulary} lemmas"


Branch = Annotated[Vgg16 | Gru | MfccCnn | LogMelCnn | ElmoLstm, Field(discriminator="network")]


class Fit(Part):
    """The loop's bounds and steps."""

    epochs: int = Field(default=40, ge=1, le=1000, description="At most.")
    patience_epochs: int = Field(default=5, ge=1, le=1000, description="Without a better validation loss.")
    batch_items: int = Field(default=32, ge=2, le=1024)
    rate: float = Field(default=1e-3, ge=1e-6, le=1.0, description="Adam's.")
    weight_decay: float = Field(default=0.0, ge=0.0, le=1.0)
    modality_dropout: float = Field(
        default=0.0, ge=0.0, le=0.9, description="Share of items with several modalities shown with one only."
    )


class RecipeSpec(Part):
    """One recipe."""

    name: str = Field(pattern=NAME, max_length=40)
    description: str = Field(max_length=2000)
    branches: dict[Modality, Branch] = Field(min_length=1)
    text_from: Literal["item", "picture"] = Field(
        default="item",
        description="picture: what RapidOCR reads from the item's picture, whatever the item says.",
    )
    fusion: Literal["late", "concatenated"] = Field(
        default="late",
        description="late: the mean of the branches' probabilities; concatenated: one layer over all.",
    )
    labels: Literal["softmax", "sigmoid"] = Field(
        description="softmax: categorical cross-entropy on the label vector brought to sum 1; "
        "sigmoid: binary cross-entropy of each label."
    )
    balance: Balance = Balance()
    prior_bias: bool = Field(default=True, description="Biases start at the labels' shares, else at 0.")
    threshold: float | None = Field(
        default=None, gt=0.0, lt=1.0, description="Of every label; else chosen on the threshold fold."
    )
    fit: Fit = Fit()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for modality, branch in self.branches.items():
            if branch.modality is not modality:
                raise ValueError(f"{branch.network} hears {branch.modality}, not {modality}")
        if self.text_from == "picture" and not {Modality.TEXT, Modality.IMAGE} <= self.branches.keys():
            raise ValueError("text_from: picture is for recipes with branches text and image")
        if self.labels == "softmax" and (self.fusion == "concatenated" or self.balance != Balance()):
            raise ValueError("concatenated and balance are for labels: sigmoid")
        return self

    def describe(self) -> str:
        """One line: what is trained, at which size."""
        sizes = "; ".join(branch.describe() for branch in self.branches.values())
        return f"{self.name}: {sizes}; at most {self.fit.epochs} epochs of batches of {self.fit.batch_items}"


def recipe_names() -> tuple[str, ...]:
    """The recipes that come with the package, sorted."""
    folder = resources.files("genrestream.training.recipes")
    return tuple(
        sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))
    )


def load_recipe(name_or_path: str) -> RecipeSpec:
    """The recipe of this name, or in this file (`.yaml` or `.yml`).

    Raises:
        TrainingError: there is none, or the file says what no recipe may; one line with the key.
    """
    if name_or_path in recipe_names():
        file = resources.files("genrestream.training.recipes") / f"{name_or_path}.yaml"
        return parse_recipe(file.read_bytes(), f"{name_or_path}.yaml")
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        known = ", ".join(recipe_names())
        raise TrainingError(
            f"no recipe {name_or_path!r}: there are {known}, or name a .yaml file; our own heads need none"
        )
    try:
        with path.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise TrainingError(f"cannot read {path}: {error.strerror}") from error
    return parse_recipe(data, str(path))


def parse_recipe(data: bytes, place: str) -> RecipeSpec:
    """The recipe that the YAML `data` of a file called `place` holds.

    Raises:
        TrainingError: it holds none; one line with the key.
    """
    if len(data) > MAX_FILE_BYTES:
        raise TrainingError(f"{place} is larger than {MAX_FILE_BYTES} bytes")
    try:
        return RecipeSpec.model_validate(yaml.safe_load(data))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise TrainingError(f"{place} is no YAML: {' '.join(str(error).split())[:300]}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "the recipe"
        raise TrainingError(f"{place}: {key}: {first['msg']}") from error
