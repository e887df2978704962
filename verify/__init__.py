"""Exact verification of an IntegerModel: properties, the engine's portfolio, the solver, and campaigns over images."""

from bnnhw.verify.campaign import verify_many
from bnnhw.verify.check import Counterexample, Limits, Plan, UnsoundnessError, Verdict, check
from bnnhw.verify.cross_check import cross_check
from bnnhw.verify.distortion import Distortion, minimal_distortion
from bnnhw.verify.formulate import formulate
from bnnhw.verify.network import Network, build
from bnnhw.verify.properties import (
    Agree,
    Avoids,
    Budget,
    Keeps,
    LinfRobustness,
    NotUnanimouslyWrong,
    Property,
    PropertyError,
    Region,
    box,
    budget_ball,
    level_ball,
    linf_ball,
    pixel_radius,
)
from bnnhw.verify.record import Record

__all__ = [
    "Agree",
    "Avoids",
    "Budget",
    "Counterexample",
    "Distortion",
    "Keeps",
    "Limits",
    "LinfRobustness",
    "Network",
    "NotUnanimouslyWrong",
    "Plan",
    "Property",
    "PropertyError",
    "Record",
    "Region",
    "UnsoundnessError",
    "Verdict",
    "box",
    "budget_ball",
    "build",
    "check",
    "cross_check",
    "formulate",
    "level_ball",
    "linf_ball",
    "minimal_distortion",
    "pixel_radius",
    "verify_many",
]
