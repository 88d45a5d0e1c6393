"""What is kept and shown of a recipe's training."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from genrestream.schemas.items import Modality
from genrestream.training.metrics import Figures
from genrestream.training.recipes.loop import Curves
from genrestream.training.recipes.spec import RecipeSpec
from genrestream.training.request import TrainRequest
from genrestream.training.set_figures import SetFigures


@dataclass(frozen=True, slots=True)
class Compared:
    """One of a recipe's networks: its branches alone or together."""

    name: str
    """What it hears, such as `text+image`."""
    test: Figures
    """On the test items that have all of the recipe's modalities."""
    curves: Curves
    sets: SetFigures
    """On the same items."""
    costs_ms: Mapping[Modality, float]
    """What an item costs each encoder of the recipe, on one thread."""

    @property
    def inference_ms(self) -> float:
        """What an item costs this network's encoders; the head is not felt beside them."""
        return sum(self.costs_ms[Modality(modality)] for modality in self.name.split("+"))

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        return {
            "test": self.test.as_dict(),
            "sets": self.sets.as_dict(),
            "curves": {**asdict(self.curves), "best_epoch": self.curves.best_epoch},
            "inference_ms": round(self.inference_ms, 3),
        }


def recipe_details(request: TrainRequest, spec: RecipeSpec, compared: tuple[Compared, ...]) -> dict[str, Any]:
    """The single branches beside all together, and the recipe."""
    return {
        "compared": {found.name: found.as_dict() for found in compared},
        "recipe": spec.model_dump(mode="json"),
        "seed": request.fit.seed,
    }
