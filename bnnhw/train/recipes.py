"""The built-in recipes: tuned for accuracy, CPU time and easy exact verification, on digits and MNIST with conv-small.

A single threshold per pixel leaves few bits to the adversary: on MNIST at epsilon 0.1 a threshold at 0.4 of the range
leaves about 15 free bits an image, at 0.3 the best one is at half the range. Cardinality bound decay and mask decay
keep the verifier's constraints short (Jia and Rinard, NeurIPS 2020). conv-small on MNIST is easy to verify without
them. conv-large is not, and starts sparse and decays strongly instead, which costs four to six points of accuracy:
queries end in a fraction of a second rather than in minutes. The other data sets and architectures start from the same
schedules; they are not tuned.
"""

from __future__ import annotations

from dataclasses import replace

from bnnhw.train.recipe import Recipe

_DIGITS = Recipe(
    quantizer=(4, 10),
    epochs=100,
    batch=128,
    lr=2e-3,
    epsilon_ramp=10,
    steps=3,
    steps_ramp=20,
    mask_decay=1e-5,
    bound_decay=2e-5,
)
_MNIST = Recipe(
    quantizer=(102,),
    epochs=15,
    lr=1e-3,
    epsilon_ramp=4,
    steps=1,
    mask_decay=1e-5,
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
            epsilon_ramp=2,
            density=0.1,
            mask_decay=mask_decay,
            bound_decay=bound_decay,
            choose_epochs=1,
        )
    return replace(recipe, arch=arch, epsilon=epsilon)
