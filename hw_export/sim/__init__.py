"""The simulators, one module each, around one test bench (`bench.hpp`)."""

from bnnhw.hw_export.sim.backend import BackEnd, Design
from bnnhw.hw_export.sim.cxxrtl import CXXRTL
from bnnhw.hw_export.sim.icarus import ICARUS
from bnnhw.hw_export.sim.program import Program, Stopped, built
from bnnhw.hw_export.sim.verilator import VERILATOR

BACK_ENDS: dict[str, BackEnd] = {one.name: one for one in (VERILATOR, ICARUS, CXXRTL)}
"""By name, the default first."""

__all__ = ["BACK_ENDS", "BackEnd", "Design", "Program", "Stopped", "built"]
