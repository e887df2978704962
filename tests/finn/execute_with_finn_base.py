"""FINN's first executor, finn-base, on every graph of a folder: python execute_with_finn_base.py FOLDER

Runs in an environment with finn-base, whose operators are the same under another domain.
"""

import sys
from pathlib import Path

import numpy as np
from finn.core.modelwrapper import ModelWrapper
from finn.core.onnx_exec import execute_onnx


def check(path: Path) -> None:
    model = ModelWrapper(str(path))
    for node in model.graph.node:
        node.domain = node.domain.replace("qonnx.", "finn.")
    known = np.load(path.with_suffix(".npz"))
    shape = model.get_tensor_shape("pixels")
    for pixels, wanted in zip(known["pixels"], known["classes"], strict=True):
        got = execute_onnx(model, {"pixels": pixels.reshape(shape)})["class"].item()
        if got != wanted:
            sys.exit(f"{path.name}: class {got}, the model's is {wanted}")
    print(f"{path.name}: {len(known['classes'])} classes equal by finn-base")


for graph in sorted(Path(sys.argv[1]).glob("*.onnx")):
    check(graph)
