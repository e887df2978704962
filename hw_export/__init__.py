"""The model as hardware: readable SystemVerilog, simulated against the reference, bound to the model's digest.

Pixels stream in and are quantized to levels. A layer is a sliding window (`rtl/bnn_window.sv`; a dense layer's covers
its whole input) before neurons that count (`rtl/bnn_mvtu.sv`, `counting.py`) or pool; scores and the class stream out.
All layers work at the same time on successive images. `folding.py` decides how many neurons and inputs a layer takes at
once, by what `cost.py` says they take; `memory.py` lays out its memories, `rom.py` says where they go, `sharing.py`
what unrolled neurons count together. `top.py` connects the parts, `accelerator.py` adds registers, `emit.py` writes and
binds the files, `simulation.py` runs them in one of the simulators of `sim/`, `taps.py` compares what layers give,
`synthesis.py` counts what they take, `placement.py` finds a clock, `equivalence.py` proves from the files that they
compute the model, `refinement.py` that synthesis keeps it so; `qonnx_graph.py` writes the model for FINN instead.
"""

from bnnhw.hw_export.devices import DEVICES, budget
from bnnhw.hw_export.emit import Export, HardwareError, export, verify_manifest
from bnnhw.hw_export.equivalence import Obligation, prove_equivalence
from bnnhw.hw_export.folding import Budget, Plan, Style, fastest, plan
from bnnhw.hw_export.resources import StageResources, resources
from bnnhw.hw_export.simulation import Simulation, simulate
from bnnhw.hw_export.stage import Stage
from bnnhw.hw_export.synthesis import Synthesis, synthesize
from bnnhw.hw_export.taps import WrongValue

__all__ = [
    "DEVICES",
    "Budget",
    "Export",
    "HardwareError",
    "Obligation",
    "Plan",
    "Simulation",
    "Stage",
    "StageResources",
    "Style",
    "Synthesis",
    "WrongValue",
    "budget",
    "export",
    "fastest",
    "plan",
    "prove_equivalence",
    "resources",
    "simulate",
    "synthesize",
    "verify_manifest",
]
