"""Exact verification of an IntegerModel: properties, the engine's portfolio, the solver, and campaigns over images."""

from bnnhw.verify._solver import Solver
from bnnhw.verify.campaign import decide_many, verify_many
from bnnhw.verify.check import Counterexample, Limits, Plan, UnsoundnessError, Verdict, check
from bnnhw.verify.cross_check import cross_check
from bnnhw.verify.distortion import Distortion, minimal_distortion
from bnnhw.verify.distortion_campaign import minimise_many
from bnnhw.verify.formulate import formulate
from bnnhw.verify.network import Network, build
from bnnhw.verify.properties import (
    Agree,
    Avoids,
    Ball,
    Budget,
    Keeps,
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
from bnnhw.verify.subject import Subject

__all__ = [
    "Agree",
    "Avoids",
    "Ball",
    "Budget",
    "Counterexample",
    "Distortion",
    "Keeps",
    "Limits",
    "Network",
    "NotUnanimouslyWrong",
    "Plan",
    "Property",
    "PropertyError",
    "Record",
    "Region",
    "Solver",
    "Subject",
    "UnsoundnessError",
    "Verdict",
    "box",
    "budget_ball",
    "build",
    "check",
    "cross_check",
    "decide_many",
    "formulate",
    "level_ball",
    "linf_ball",
    "minimal_distortion",
    "minimise_many",
    "pixel_radius",
    "verify_many",
]
