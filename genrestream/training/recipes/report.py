"""What is kept and shown of a recipe's training."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from genrestream.schemas.items import Modality
from genrestream.training.evaluate import Evaluation
from genrestream.training.metrics import Figures
from genrestream.training.prepare import Prepared
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


def recipe_report(
    request: TrainRequest,
    prepared: Prepared,
    spec: RecipeSpec,
    compared: tuple[Compared, ...],
    evaluation: Evaluation,
    unreadable: int,
) -> bytes:
    """All figures, the baselines and single branches beside them, the curves and the recipe, as JSON."""
    targets = prepared.targets
    report = {
        "test": evaluation.head.as_dict(),
        "baselines": {name: found.as_dict() for name, found in evaluation.baselines.items()},
        "slices": {name: found.as_dict() for name, found in evaluation.slices.items()},
        "compared": {found.name: found.as_dict() for found in compared},
        "recipe": spec.model_dump(mode="json"),
        "seed": request.fit.seed,
        "aim": request.aim,
        "items_by_label": dict(zip(targets.labels, targets.has.sum(axis=0).tolist(), strict=True)),
        "labels_left_out": targets.left_out,
        "unlabelled_items": prepared.catalogue.unlabelled,
        "unreadable_media": unreadable,
    }
    return json.dumps(report, ensure_ascii=False, indent=1).encode() + b"\n"
