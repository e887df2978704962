"""Training, calibration and exact lowering: a data set and a recipe into a Network, a Network into an IntegerModel."""

from bnnhw.train.adversary import pgd
from bnnhw.train.agreement import Agreement, agreement
from bnnhw.train.calibrate import calibrate
from bnnhw.train.lower import LoweringError, lower
from bnnhw.train.recipe import Recipe
from bnnhw.train.recipes import recipe_for
from bnnhw.train.score import Score, score
from bnnhw.train.trainer import TrainResult, train

__all__ = [
    "Agreement",
    "LoweringError",
    "Recipe",
    "Score",
    "TrainResult",
    "agreement",
    "calibrate",
    "lower",
    "pgd",
    "recipe_for",
    "score",
    "train",
]
