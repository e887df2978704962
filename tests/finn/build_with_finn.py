"""FINN's own build steps on every graph of a folder, up to its estimates: python build_with_finn.py FOLDER

Runs in an environment with finn-plus. The graph is executed after each step that leaves one that Python can execute,
last as FINN's hardware nodes, and has to give the model's classes. Nothing here needs Vivado: the binding of its
simulator is put aside, and no step that generates code is run.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

folder = Path(sys.argv[1]).resolve()
os.environ.setdefault("FINN_BUILD_DIR", tempfile.mkdtemp())
os.chdir(os.environ["FINN_BUILD_DIR"])

import finn.xsi
from finn.util.settings import initialize_dummy_settings

initialize_dummy_settings()
for name in finn.xsi._LAZY_NAMES:
    setattr(finn.xsi, name, None)

from finn.builder import build_dataflow_steps as steps
from finn.builder.build_dataflow_config import DataflowBuildConfig, DataflowOutputType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

EXECUTED = ("qonnx_to_finn", "tidy_up", "streamline", "convert_to_hw")
NOT_EXECUTED = (
    "create_dataflow_partition",
    "specialize_layers",
    "transpose_decomposition",
    "target_fps_parallelization",
    "apply_folding_config",
    "minimize_bit_width",
    "generate_estimate_reports",
)


def build(path: Path) -> None:
    out = tempfile.mkdtemp()
    config = DataflowBuildConfig(
        output_dir=out,
        synth_clk_period_ns=5.0,
        target_fps=10000,
        fpga_part="xc7z020clg400-1",
        generate_outputs=[DataflowOutputType.ESTIMATE_REPORTS],
    )
    model = ModelWrapper(str(path))
    known = np.load(path.with_suffix(".npz"))
    for step in (*EXECUTED, *NOT_EXECUTED):
        model = getattr(steps, f"step_{step}")(model, config)
        if step not in EXECUTED:
            continue
        source, target = model.graph.input[0].name, model.graph.output[0].name
        shape = model.get_tensor_shape(source)
        for pixels, wanted in zip(known["pixels"], known["classes"], strict=True):
            got = execute_onnx(model, {source: pixels.reshape(shape)})[target].item()
            if got != wanted:
                sys.exit(f"{path.name} after {step}: class {got}, the model's is {wanted}")
    foreign = [node.op_type for node in model.graph.node if not node.domain.startswith("finn.custom_op.fpgadataflow")]
    if foreign:
        sys.exit(f"{path.name}: {', '.join(foreign)} did not become hardware")
    report = Path(out) / "report"
    pace = json.loads((report / "estimate_network_performance.json").read_text())
    area = json.loads((report / "estimate_layer_resources.json").read_text())["total"]
    nodes = " ".join(node.op_type for node in model.graph.node)
    print(f"{path.name}: {len(known['classes'])} classes equal after {', '.join(EXECUTED)}; {nodes}")
    print(f"  FINN's estimate: {area['LUT']:.0f} LUT, {pace['max_cycles']} clocks an image")


for graph in sorted(folder.glob("*.onnx")):
    build(graph)
