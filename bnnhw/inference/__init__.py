"""Fast bit-exact inference: compile an IntegerModel into packed weights and run it on the kernels.

``compile(model)(pixels)`` equals ``bnnhw.model.reference.scores(model, pixels)``, integer for integer.
"""

from bnnhw.inference.compile import compile
from bnnhw.inference.difference import Difference, first_difference
from bnnhw.inference.program import Program, Trace

__all__ = ["Difference", "Program", "Trace", "compile", "first_difference"]
