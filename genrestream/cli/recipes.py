"""What `genrestream train --recipe` shows."""

from typing import TYPE_CHECKING

from rich.console import Console

from genrestream.cli.figures import figures_table, sets_table
from genrestream.training.recipes.spec import recipe_names

if TYPE_CHECKING:
    from genrestream.training.recipes.train import TrainedRecipe

RECIPE_HELP = (
    f"An earlier system, trained end to end: {', '.join(recipe_names())}, or a YAML file. "
    "Its file says what `--encoders` and `--epochs` say of our own heads. [default: our own head]"
)


def show_compared(trained: "TrainedRecipe", console: Console) -> None:
    """The branches alone and together, with what an item costs their encoders."""
    rows = {found.name: found.test for found in trained.compared}
    console.print(figures_table("Branches alone and together, on the items that have them all", rows))
    sets = {found.name: found.sets for found in trained.compared}
    console.print(sets_table("The sets of labels that items are given", sets))
    for found in trained.compared:
        losses = " ".join(f"{loss:.2f}" for loss in found.curves.validation)
        console.print(
            f"{found.name}: {found.inference_ms:.1f} ms an item on one thread; best epoch "
            f"{found.curves.best_epoch}, validation losses {losses}",
            highlight=False,
        )
