"""``bnnhw train``: a recipe and a data set into a ``*.bnn`` file."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bnnhw.cli.console import print_json, print_table, say
from bnnhw.cli.options import Arch, DataFolder, DatasetName, Epochs, Json, Out, Seed, Workers
from bnnhw.data import load as load_data
from bnnhw.model import save
from bnnhw.pipeline import Decider

if TYPE_CHECKING:
    from bnnhw.train import Recipe

RecipeName = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        help="A TOML file, or a recipe that comes with bnnhw, such as eev/mnist-l-adv0.3-cbd3, instead of the built-in "
        "one for --dataset, --arch and --eps; 'list' names them all.",
    ),
]
Device = Annotated[str, typer.Option("--device", help="cpu or cuda.")]
Curves = Annotated[bool, typer.Option("--curves", help="Write TensorBoard's files (extra package: bnnhw\\[logs]).")]
TrainEpsilon = Annotated[str, typer.Option("--eps", help="Radius of the training adversary, such as 0.1 or 8/255.")]


def choose_recipe(
    dataset: str, arch: str, eps: str, epochs: int | None, seed: int | None, name: str | None = None
) -> Recipe:
    """The named or the built-in recipe with the command line's changes."""
    import bnnhw.train

    if name is not None:
        recipe = bnnhw.train.named_recipe(name)
    else:
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
    recipe: RecipeName = None,
    device: Device = "cpu",
    curves: Curves = False,
    workers: Workers = None,
    out: Out = Path("runs/train"),
    json: Json = False,
) -> None:
    """Train, lower to the integer model, compare the two on the whole test set. Run again to continue.

    Under torchrun the batches are shared among its processes.
    """
    # Torch takes seconds to import, and of all commands only this one and `run` need it.
    import bnnhw.train

    if recipe == "list":
        for name in bnnhw.train.recipe_names():
            print(name)
        return
    chosen = choose_recipe(dataset, arch, eps, epochs, seed, recipe)
    images = load_data(dataset, data)
    with Decider(workers) as decider:
        trained = bnnhw.train.train(images, chosen, out, decide=decider, device=device, curves=curves)
    if int(os.environ.get("RANK", "0")):
        return
    if chosen.weights.kind == "real":
        found = bnnhw.train.score(trained.network, images.test_images, images.test_labels)
        say(f"a real-valued network, without an integer model: {found.clean} of {found.images} test images right")
        return
    model = bnnhw.train.lower(trained.network)
    name = save(model, out / "model.bnn")
    agreement = bnnhw.train.agreement(trained.network, model, images.test_images)
    result = {"model": str(out / "model.bnn"), "digest": name, "images": agreement.images}
    result |= {"torch_mismatches": agreement.mismatches, "seconds": trained.seconds}
    if json:
        print_json(result)
    else:
        print_table(f"{chosen.arch} on {dataset}", list(result), [list(result.values())])
        say(agreement.note)
    if agreement.mismatches:
        raise typer.Exit(1)
