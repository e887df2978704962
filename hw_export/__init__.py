"""The model as hardware: readable SystemVerilog, simulated against the reference, bound to the model's digest.

Pixels stream in, are quantized to levels and pass one stage per layer (`rtl/bnn_layer.sv`: a dense layer is a
convolution whose kernel covers its input); scores and the class stream out. `folding.py` decides how many output
channels a stage computes at once, `memory.py` lays out its memories, `top.py` connects the stages, `emit.py` writes
and binds the files, `simulation.py` runs them.
"""

from bnnhw.hw_export.emit import Export, HardwareError, export, verify_manifest
from bnnhw.hw_export.folding import Stage, stages
from bnnhw.hw_export.resources import StageResources, resources
from bnnhw.hw_export.simulation import Simulation, simulate

__all__ = [
    "Export",
    "HardwareError",
    "Simulation",
    "Stage",
    "StageResources",
    "export",
    "resources",
    "simulate",
    "stages",
    "verify_manifest",
]
