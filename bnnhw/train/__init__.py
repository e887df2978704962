"""Training, calibration and exact lowering: a data set and a recipe into a Network, a Network into an IntegerModel.

`recipe` says what can be chosen, `trainer` runs it, `run` holds what one batch and one epoch do, and `objective` what
the loss is made of. Each method is a module of its own, which opens with its formula's source: `adversary`,
`gradient_scale`, `bounds`, `bop`, `intervals`, `thresholds`, `distill`, `counterexamples`. `calibrate` and `lower` end
in the exact integer model, `agreement` counts that it is that.
"""

from bnnhw.train.adversary import pgd
from bnnhw.train.agreement import Agreement, agreement
from bnnhw.train.bop import Bop, SecondOrderBop
from bnnhw.train.calibrate import calibrate
from bnnhw.train.counterexamples import Decide, Decision
from bnnhw.train.lower import LoweringError, lower
from bnnhw.train.recipe import Recipe
from bnnhw.train.recipes import named_recipe, recipe_for, recipe_names
from bnnhw.train.score import Score, score
from bnnhw.train.trainer import TrainResult, needs_verifier, train

__all__ = [
    "Agreement",
    "Bop",
    "Decide",
    "Decision",
    "LoweringError",
    "Recipe",
    "Score",
    "SecondOrderBop",
    "TrainResult",
    "agreement",
    "calibrate",
    "lower",
    "named_recipe",
    "needs_verifier",
    "pgd",
    "recipe_for",
    "recipe_names",
    "score",
    "train",
]
