"""Projected gradient descent with its result on the integer model: which images keep their class under attack.

Gradients come from a torch network, the verdict from the integer model: each adversarial image is rounded down to
integer pixels, which lie in the same ball, and classified by the kernels; a broken one counts only after reference
inference agrees. A batch that is done is a line on disk, so an attack on ten thousand images survives an interrupt.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from bnnhw.inference import compile as compile_model
from bnnhw.model import IntegerModel, digest, reference
from bnnhw.model.file import write_atomically
from bnnhw.nn import Network
from bnnhw.train import pgd
from bnnhw.train.adversary import random_start
from bnnhw.verify import UnsoundnessError

BATCH = 250


@dataclass(frozen=True)
class Attack:
    """steps: of signed gradients, from one random start. seed: decides that start. gradients: whose, for the record."""

    steps: int
    gradients: str
    seed: int = 0


def survivors(
    network: Network,
    model: IntegerModel,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    radius: int,
    attack: Attack,
    results: Path,
    first: int = 0,
    progress: Callable[[int], None] | None = None,
    only: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.bool_]:
    """bool[N]: the integer model is right about the image, and about what the attack makes of it.

    images: uint8[N, C, H, W], the data set's from number ``first`` on. network: in eval mode. radius: in pixel units.
    results: the JSONL file of finished batches, appended to and resumed. progress gets the images that are done.
    only: bool[N], the images to attack, from the same start as if all were; the others count as they are.
    """
    compiled = compile_model(model)
    kept = np.zeros(len(labels), bool)
    results.parent.mkdir(parents=True, exist_ok=True)
    known = _read(results)
    for start in range(0, len(labels), BATCH):
        pixels, truth = images[start : start + BATCH], labels[start : start + BATCH]
        asked = {
            "model": digest(model),
            "images": [first + start, first + start + len(truth)],
            "pixels": _hash(pixels, truth),
            "radius": radius,
            "steps": attack.steps,
            "gradients": attack.gradients,
            "seed": attack.seed,
        }
        chosen = np.arange(len(truth)) if only is None else np.flatnonzero(only[start : start + BATCH])
        if only is not None:
            asked["attacked"] = chosen.tolist()
        name = json.dumps(asked, sort_keys=True)
        if name not in known:
            generator = torch.Generator().manual_seed(attack.seed * 1_000_003 + first + start)
            entered = torch.from_numpy(pixels.astype(np.float32))
            begun = random_start(network, entered, radius, generator)
            changed = pixels.copy()
            if len(chosen):
                entered, begun, wanted = entered[chosen], begun[chosen], torch.from_numpy(truth[chosen])
                found = pgd(network, entered, wanted, radius, attack.steps, start=begun)
                changed[chosen] = found.floor().numpy().astype(pixels.dtype)
            broken = np.flatnonzero((compiled.predict(pixels) != truth) | (compiled.predict(changed) != truth))
            _replay(model, pixels, changed, truth, broken, radius)
            known[name] = broken.tolist()
            with results.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"attack": asked, "broken": known[name]}) + "\n")
        kept[start : start + BATCH] = True
        kept[[start + index for index in known[name]]] = False
        if progress:
            progress(len(truth))
    return kept


def _replay(
    model: IntegerModel,
    pixels: npt.NDArray[np.uint8],
    changed: npt.NDArray[np.uint8],
    truth: npt.NDArray[np.int64],
    broken: npt.NDArray[np.int64],
    radius: int,
) -> None:
    """UnsoundnessError where a broken image is none by reference inference, or lies outside its ball."""
    if not len(broken):
        return
    clean, moved = (reference.predict(model, images[broken]) == truth[broken] for images in (pixels, changed))
    if (clean & moved).any():
        raise UnsoundnessError("the kernels call an attack successful that reference inference does not")
    if int(np.abs(changed.astype(np.int64) - pixels.astype(np.int64)).max()) > radius:
        raise UnsoundnessError("the attack left its ball")


def _hash(pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64]) -> str:
    return hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()[:16]


def _read(results: Path) -> dict[str, list[int]]:
    """Finished batches by what was asked; a last line that an interrupted write left incomplete is cut off."""
    if not results.exists():
        return {}
    text = results.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        write_atomically(results, whole)
    found: dict[str, list[int]] = {}
    for number, line in enumerate(whole.splitlines(), 1):
        try:
            one = json.loads(line)
            found[json.dumps(one["attack"], sort_keys=True)] = [int(index) for index in one["broken"]]
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{results}, line {number} is no batch of an attack: remove the line") from None
    return found
