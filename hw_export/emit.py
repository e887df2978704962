"""Write the hardware: RTL, memory images, test vectors, the model itself, and the manifest that binds them together.

Everything is written into a new folder beside the target, which is then put in its place: the target is an earlier
export or a whole new one, never a mixture. Equal models and options give byte-identical exports.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from bnnhw.hw_export import accelerator, memory, unrolled
from bnnhw.hw_export.folding import Plan, Style, plan
from bnnhw.hw_export.memory import lane_width
from bnnhw.hw_export.top import describe, generate
from bnnhw.model import IntegerModel, Output, digest, encode, load, reference

FORMAT = "bnnhw-hardware"
VERSION = 3
RTL = (
    "bnn_counter.sv",
    "bnn_delay.sv",
    "bnn_mvtu.sv",
    "bnn_pack.sv",
    "bnn_patch.sv",
    "bnn_pool.sv",
    "bnn_quantize.sv",
    "bnn_registers.sv",
    "bnn_rows.sv",
    "bnn_scores.sv",
    "bnn_window.sv",
)


class HardwareError(ValueError):
    """A hardware folder that cannot be made or trusted; the message says what, where and what to do."""


@dataclass(frozen=True)
class Export:
    """What was written. directory: where; model_digest: for which model; plan: how it was folded."""

    directory: Path
    model_digest: str
    plan: Plan


def stream_values(model: IntegerModel, pixels: npt.NDArray[np.integer]) -> npt.NDArray[np.uint32]:
    """Pixels [N, C, H, W] in the order and coding of the input stream: uint32[N, H * W * C]."""
    checked = reference.check_pixels(model.quantizer, pixels)
    offset = checked.astype(np.int64) - model.quantizer.pixel_min
    return offset.transpose(0, 2, 3, 1).reshape(len(pixels), -1).astype(np.uint32)


def _vectors(model: IntegerModel, folded: Plan, pixels: npt.NDArray[np.integer]) -> dict[str, str]:
    """Test vectors: the input stream and the expected output stream, one beat a line."""
    scores = reference.scores(model, pixels)
    response = np.concatenate([scores, reference.classify(scores)[:, None]], axis=1)
    lane = lane_width(model)
    beats = stream_values(model, pixels).reshape(-1, folded.values).tolist()
    joined = [sum(value << (lane * place) for place, value in enumerate(beat)) for beat in beats]
    return {
        "vectors/stimulus.mem": memory.text(joined, lane * folded.values),
        "vectors/response.mem": memory.text(response.ravel().tolist(), 32),
    }


def contents(model: IntegerModel, folded: Plan, pixels: npt.NDArray[np.integer] | None = None) -> dict[str, bytes]:
    """Every file of an export but its manifest."""
    texts: dict[str, str] = {name: (files("bnnhw.hw_export") / "rtl" / name).read_text() for name in RTL}
    texts["bnn_top.sv"] = generate(model, folded, digest(model))
    width = memory.quantizer_word_width(folded, model.quantizer)
    texts["quantizer.mem"] = memory.text(memory.quantizer_words(folded, model.quantizer), width)
    needed: set[unrolled.AtLeast] = set()
    for index, stage in enumerate(folded.stages):
        if stage.counting is None:
            continue
        if stage.unrolled:
            texts[f"bnn_layer{index}.sv"], modules = unrolled.generate(index, stage, describe(stage))
            needed |= modules
            continue
        texts[f"layer{index}_weights.mem"] = memory.text(memory.weight_words(stage), 2 * stage.pe * stage.simd)
        if isinstance(stage.layer, Output):
            texts["bias.mem"] = memory.text(memory.bias_words(stage.layer, stage.counting), 32)
        else:
            entries = stage.pe * (stage.counting.width + 1)
            texts[f"layer{index}_thresholds.mem"] = memory.text(memory.threshold_words(stage), entries)
    if needed:
        texts["bnn_at_least.sv"] = unrolled.library(needed)
    if pixels is not None and len(pixels):
        texts |= _vectors(model, folded, pixels)
    texts["bnn_accelerator.sv"] = accelerator.wrapper(model, folded, digest(model))
    texts["bnn.h"] = accelerator.header(model, folded, digest(model))
    texts["bnn_driver.py"] = accelerator.driver()
    texts["vivado.tcl"] = accelerator.vivado_script([name for name in texts if name.endswith(".sv")])
    return {name: text.encode() for name, text in texts.items()} | {"model.bnn": encode(model)}


def export(
    model: IntegerModel,
    directory: Path,
    images: npt.NDArray[np.integer] | None = None,
    target_cycles: int = 4096,
    style: Style = "auto",
) -> Export:
    """Write the hardware of ``model`` to ``directory``, replacing an earlier export there (and nothing else).

    images: [N, C, H, W] pixels that become test vectors. target_cycles: clocks an image each layer may take.
    style: see `plan`.
    """
    directory = Path(directory)
    if directory.exists() and not (directory / "manifest.json").exists() and any(directory.iterdir()):
        raise HardwareError(f"{directory} is not empty and holds no export: choose another folder or empty it")
    folded = plan(model, target_cycles, style)
    made = contents(model, folded, images)
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "model_digest": digest(model),
        "target_cycles": target_cycles,
        "style": style,
        "shape": list(model.quantizer.shape),
        "classes": model.classes,
        "pixel_min": model.quantizer.pixel_min,
        "pixel_max": model.quantizer.pixel_max,
        "values": folded.values,
        "lane": lane_width(model),
        "cycles": folded.cycles,
        "stages": [
            {"kind": type(s.layer).__name__.lower(), "pe": s.pe, "simd": s.simd, "pack": s.pack, "unrolled": s.unrolled}
            for s in folded.stages
        ],
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(made.items())},
    }
    directory.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}."))
    try:
        for name, data in made.items():
            path = fresh / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        (fresh / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        fresh.chmod(0o755)
        if directory.exists():
            old = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{directory.name}."))
            directory.replace(old)
            fresh.replace(directory)
            shutil.rmtree(old)
        else:
            fresh.replace(directory)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return Export(directory, manifest["model_digest"], folded)  # type: ignore[arg-type]


def verify_manifest(directory: Path) -> tuple[IntegerModel, dict[str, Any]]:
    """The model and the manifest of an export, after every file's hash and the model's digest were found as stated.

    HardwareError names the first file that is missing, changed or not in the manifest.
    """
    directory = Path(directory)
    path = directory / "manifest.json"
    try:
        manifest = json.loads(path.read_text())
    except OSError as error:
        raise HardwareError(f"cannot read {path} ({error.strerror}): is {directory} an export of bnnhw?") from None
    except ValueError:
        raise HardwareError(f"{path} is not JSON: export the model again") from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT or manifest.get("version") != VERSION:
        raise HardwareError(f"{path} is not a manifest of {FORMAT} version {VERSION}: export the model again")
    numbers = ("target_cycles", "values", "lane", "cycles")
    if any(type(manifest.get(name)) is not int for name in numbers) or manifest.get("style") not in get_args(Style):
        raise HardwareError(f"{path} does not say how the model was folded: export the model again")
    listed = manifest.get("files")
    if not isinstance(listed, dict) or "model.bnn" not in listed:
        raise HardwareError(f"{path} lists no files: export the model again")
    for name, expected in listed.items():
        file = directory / name
        if not file.is_file():
            raise HardwareError(f"{file} is missing: export the model again")
        if hashlib.sha256(file.read_bytes()).hexdigest() != expected:
            raise HardwareError(f"{file} is not the file that the manifest states: export the model again")
    present = {str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file()} - {"manifest.json"}
    if extra := sorted(present - set(listed)):
        raise HardwareError(f"{directory / extra[0]} is not in the manifest: remove it or export the model again")
    model = load(directory / "model.bnn")
    if digest(model) != manifest.get("model_digest"):
        raise HardwareError(f"{path} states another model than model.bnn: export the model again")
    return model, manifest
