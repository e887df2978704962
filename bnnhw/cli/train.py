"""``bnnhw train``: a recipe and a data set into a ``*.bnn`` file."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bnnhw.cli.console import print_json, print_table, say
from bnnhw.cli.options import Arch, DataFolder, DatasetName, Epochs, Json, Out, Seed
from bnnhw.data import load as load_data
from bnnhw.model import save

if TYPE_CHECKING:
    from bnnhw.train import Recipe

RecipeFile = Annotated[Path | None, typer.Option("--recipe", help="Recipe as JSON, instead of the built-in one.")]
TrainEpsilon = Annotated[str, typer.Option("--eps", help="Radius of the training adversary, such as 0.1 or 8/255.")]


def choose_recipe(dataset: str, arch: str, eps: str, epochs: int | None, seed: int | None) -> Recipe:
    """The built-in recipe with the command line's changes."""
    import bnnhw.train

    recipe = bnnhw.train.recipe_for(dataset, arch, float(Fraction(eps)))
    if epochs is not None:
        recipe = replace(recipe, epochs=epochs)
    if seed is not None:
        recipe = replace(recipe, seed=seed)
    return recipe


def train(
    dataset: DatasetName = "digits",
    data: DataFolder = None,
    arch: Arch = "conv-small",
    eps: TrainEpsilon = "0.1",
    epochs: Epochs = None,
    seed: Seed = None,
    recipe: RecipeFile = None,
    out: Out = Path("runs/train"),
    json: Json = False,
) -> None:
    """Train, lower to the integer model, compare the two on the whole test set. Run again to continue."""
    # Torch takes seconds to import, and of all commands only this one and `run` need it.
    import bnnhw.train

    images = load_data(dataset, data)
    if recipe:
        chosen = bnnhw.train.Recipe.from_json(recipe.read_text())
    else:
        chosen = choose_recipe(dataset, arch, eps, epochs, seed)
    trained = bnnhw.train.train(images, chosen, out)
    model = bnnhw.train.lower(trained.network)
    name = save(model, out / "model.bnn")
    agreement = bnnhw.train.agreement(trained.network, model, images.test_images)
    result = {"model": str(out / "model.bnn"), "digest": name, "images": agreement.images}
    result |= {"torch_mismatches": agreement.mismatches, "seconds": trained.seconds}
    if json:
        print_json(result)
    else:
        print_table(f"{arch} on {dataset}", list(result), [list(result.values())])
        say(agreement.note)
    if agreement.mismatches:
        raise typer.Exit(1)
