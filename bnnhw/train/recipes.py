"""The built-in recipes: tuned for accuracy, CPU time and easy exact verification, on digits and MNIST with conv-small.

A single threshold per pixel leaves few bits to the adversary: on MNIST at epsilon 0.1 a threshold at 0.4 of the range
leaves about 15 free bits an image, at 0.3 the best one is at half the range. Cardinality bound decay and mask decay
keep the verifier's constraints short (Jia and Rinard, NeurIPS 2020). conv-small on MNIST is easy to verify without
them. conv-large is not, and starts sparse and decays strongly instead, which costs four to six points of accuracy:
queries end in a fraction of a second rather than in minutes. The other data sets and architectures start from the same
schedules; they are not tuned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from bnnhw.train.recipe import Adversary, Bounds, Choice, Optimizer, Recipe, Weights

_DIGITS = Recipe(
    quantizer=(4, 10),
    epochs=100,
    optimizer=Optimizer(lr=2e-3),
    adversary=Adversary(ramp=10, steps=3, steps_ramp=20),
    weights=Weights(decay=1e-5, decay_ramp=10),
    bounds=Bounds(decay=2e-5),
)
_MNIST = Recipe(
    quantizer=(102,),
    epochs=15,
    adversary=Adversary(ramp=4, steps=1),
    weights=Weights(decay=1e-5, decay_ramp=4),
)
_BASE: dict[str, Recipe] = {
    "digits": _DIGITS,
    "mnist": _MNIST,
    "fashion-mnist": replace(_MNIST, quantizer=(51, 115, 179)),
    "cifar10": replace(_MNIST, quantizer=0.064),
}
WIDE_EPSILON = 0.2
MNIST_WIDE_THRESHOLDS = (128,)


def recipe_for(dataset: str, arch: str, epsilon: float) -> Recipe:
    """The default recipe for a data set, an architecture and an L-infinity radius (a fraction of the pixel range).

    Raises ValueError for an unknown data set or architecture, or an epsilon outside 0..1.
    """
    if dataset not in _BASE:
        raise ValueError(f"no recipe for data set {dataset!r}: choose one of {', '.join(_BASE)}, or write a Recipe")
    recipe = _BASE[dataset]
    if dataset == "mnist" and epsilon > WIDE_EPSILON:
        recipe = replace(recipe, quantizer=MNIST_WIDE_THRESHOLDS)
    if arch == "conv-large":
        # An epoch on MNIST takes minutes on one core.
        share, mask_decay, bound_decay = (0.4, 1e-4, 1e-3) if epsilon > WIDE_EPSILON else (0.27, 3e-5, 5e-4)
        recipe = replace(
            recipe,
            epochs=max(1, round(recipe.epochs * share)),
            adversary=replace(recipe.adversary, ramp=2),
            weights=Weights(density=0.1, decay=mask_decay, decay_ramp=2),
            bounds=Bounds(decay=bound_decay),
            choice=Choice(epochs=1),
        )
    return replace(recipe, arch=arch, adversary=replace(recipe.adversary, epsilon=epsilon))


def _shipped() -> Traversable:
    return files("bnnhw.train") / "shipped"


def _walk(folder: Traversable, prefix: str) -> Iterator[str]:
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.is_dir():
            yield from _walk(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".toml"):
            yield prefix + entry.name.removesuffix(".toml")


def recipe_names() -> tuple[str, ...]:
    """The recipes that come with the package, such as ``eev/mnist-l-adv0.3-cbd3``."""
    return tuple(_walk(_shipped(), ""))


def named_recipe(name: str) -> Recipe:
    """The shipped recipe ``name``, or the one in the TOML file of that path. Raises ValueError."""
    if name in recipe_names():
        return Recipe.from_toml((_shipped() / f"{name}.toml").read_text(encoding="utf-8"))
    path = Path(name)
    if not path.is_file():
        raise ValueError(
            f"no recipe {name!r}: give a TOML file, or one of those that come with bnnhw: {', '.join(recipe_names())}"
        )
    return Recipe.from_toml(path.read_text(encoding="utf-8"))
