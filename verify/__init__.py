"""Exact verification of an IntegerModel: properties, bounds, encoding, the solver, and campaigns over many images."""

from bnnhw.verify.campaign import verify_many
from bnnhw.verify.check import Counterexample, Limits, UnsoundnessError, Verdict, check
from bnnhw.verify.network import Network, build
from bnnhw.verify.properties import LinfRobustness, PropertyError, pixel_radius
from bnnhw.verify.record import Record

__all__ = [
    "Counterexample",
    "Limits",
    "LinfRobustness",
    "Network",
    "PropertyError",
    "Record",
    "UnsoundnessError",
    "Verdict",
    "build",
    "check",
    "pixel_radius",
    "verify_many",
]
