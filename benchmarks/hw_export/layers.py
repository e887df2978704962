"""What layers take on a device, counted by Yosys one by one, and the cost model fitted on them.

    python benchmarks/hw_export/layers.py count --out FILE [--first N] [--layers N] [--workers N]
    python benchmarks/hw_export/layers.py fit FILE [--write]

`count` makes random layers (convolutions, dense layers, outputs, pooling; one or several levels; densities, thresholds
and foldings of all kinds), synthesizes each one's window and neurons for Xilinx 7 series by themselves, and adds a line
a layer to FILE; layer number i is always the same, and numbers already in FILE are not counted again. `fit` fits the
model of `hw_export/cost.py` on two thirds of the first 300 and prints its errors on the others; `--write` puts the
coefficients, fitted on those two thirds, and the errors into hw_export/cost.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from bnnhw.hw_export import cost, emit, top
from bnnhw.hw_export.folding import Plan, foldings
from bnnhw.hw_export.stage import Stage, stages
from bnnhw.hw_export.synthesis import count_cells, tally
from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, Output, Quantizer

LARGEST = 600
"""PE x SIMD of a folded layer at most, so that a count takes seconds."""
MOST_WEIGHTS = 2500
"""Weights of an unrolled layer at most."""
LATER = 300
"""Layers from this number on were counted when the model's features had been chosen."""
TOGETHER = 6
"""Layers that one run of Yosys counts."""


def random_layer(number: int) -> tuple[IntegerModel, Stage]:
    """Layer `number` with its folding, in a network of its own."""
    rng = np.random.default_rng([20261125, number])
    kind = ["conv", "conv", "dense", "dense", "output", "pool"][number % 6]
    levels = int(rng.choice([1, 1, 1, 2, 3, 7])) if kind in ("conv", "dense") else 1
    channels = int(rng.choice([1, 2, 3])) if levels > 1 else int(rng.choice([4, 8, 12, 16, 24, 32, 48, 64]))
    side = int(rng.choice([5, 7, 8, 10, 14, 16, 20, 28, 32] if kind in ("conv", "pool") else [1, 2, 4, 7]))
    shape = (channels, side, side)
    density = float(rng.choice([0.05, 0.15, 0.4, 1.0]))
    out = int(rng.choice([8, 16, 24, 32, 48, 64, 100, 128]))

    def ternary(*sizes: int) -> np.ndarray:
        return rng.choice([-1, 1], sizes) * (rng.random(sizes) < density)

    def limits(fan_in: int, count: int) -> np.ndarray:
        spread = max(1.0, density * fan_in * levels) ** 0.5
        return np.round(rng.normal(0, spread, count)).astype(np.int64)

    quantizer = Quantizer(shape, np.arange(1, levels + 1), 0, 255)
    directions = rng.random(out) < 0.5
    if kind == "conv":
        size = int(rng.choice([3, 5])) if side >= 5 else 3
        stride = int(rng.choice([1, 1, 2]))
        padding = int(rng.choice([0, size // 2]))
        weights = ternary(out, channels, size, size)
        layer = Conv(weights, limits(channels * size * size, out), directions, (stride, stride), (padding, padding))
    elif kind == "dense":
        layer = Dense(ternary(out, channels * side * side), limits(channels * side * side, out), directions)
    elif kind == "pool":
        pooled = MaxPool((2, 2), (2, 2), rng.random(channels) < 0.3)
        model = IntegerModel(quantizer, (pooled,), Output(ternary(2, channels * (side // 2) ** 2), [0, 0]))
        return model, stages(model)[0]
    else:
        model = IntegerModel(quantizer, (), Output(ternary(10, channels * side * side), rng.integers(-9, 9, 10)))
        return model, _folded(rng, stages(model)[0], False)
    blank = IntegerModel(quantizer, (layer,), Output(np.ones((2, int(np.prod(_made(layer, shape)))), np.int8), [0, 0]))
    return blank, _folded(rng, stages(blank)[0], number % 4 < 2)


def _made(layer: Conv | Dense, shape: tuple[int, int, int]) -> tuple[int, ...]:
    if isinstance(layer, Dense):
        return (len(layer.weights),)
    size, stride, padding = layer.weights.shape[2], layer.stride[0], layer.padding[0]
    side = (shape[1] + 2 * padding - size) // stride + 1
    return (len(layer.weights), side, side)


def _folded(rng: np.random.Generator, stage: Stage, unroll: bool) -> Stage:
    """One of the stage's foldings, all sizes equally likely."""
    assert stage.counting is not None
    every = list(foldings(stage, "auto"))
    whole = [one for one in every if one.unrolled]
    if unroll and whole and np.count_nonzero(stage.counting.weights) * stage.width <= MOST_WEIGHTS:
        return whole[0]
    small = [one for one in every if not one.unrolled and one.pe * one.simd <= LARGEST]
    sizes = sorted({int(np.log2(one.pe * one.simd)) for one in small})
    size = rng.choice(sizes)
    chosen = [one for one in small if int(np.log2(one.pe * one.simd)) == size]
    return chosen[int(rng.integers(len(chosen)))]


def plan_of(number: int) -> tuple[IntegerModel, Plan]:
    """The network and the plan that layer `number` is in."""
    model, stage = random_layer(number)
    values = (1, 1, 2, 4)[number % 4] if model.quantizer.shape[0] % 4 == 0 else 1
    return model, Plan(model, values, (stage, *stages(model)[1:]), int(np.prod(model.quantizer.shape)) // values)


def count(numbers: list[int]) -> list[dict[str, object]]:
    """Yosys' counts of layers, part by part; of every tenth layer also of the quantizer and the scores."""
    parts = []
    with tempfile.TemporaryDirectory() as scratch:
        where = Path(scratch)
        for number in numbers:
            model, plan = plan_of(number)
            for file, contents in emit.contents(model, plan).items():
                if file.endswith(".sv") and file != "bnn_top.sv":
                    (where / file).write_bytes(contents)
                if file.endswith(".mem") and "/" not in file:
                    (where / f"l{number}_{file}").write_bytes(contents)
            wanted = {"window0", "layer0"} | ({"quantize", "scores"} if number % 10 == 0 else set())
            for name, text in top.alone(model, plan, f"l{number}_").items():
                if name in wanted:
                    parts.append((number, name))
                    (where / f"l{number}_{name}.sv").write_text(text)
        instances = "".join(f"  l{number}_{name} l{number}_{name}_part ();\n" for number, name in parts)
        (where / "parts.sv").write_text(f"module parts;\n{instances}endmodule\n")
        _, cells = count_cells(where, "parts", "xc7")
    lines: dict[int, dict[str, object]] = {number: {} for number in numbers}
    for number, name in parts:
        lines[number][name] = tally(cells[f"l{number}_{name}"])
    return [{"layer": number, "counted": counted} for number, counted in lines.items()]


def together(numbers: list[int]) -> list[list[int]]:
    """Layers that one run of Yosys counts: reading its libraries takes longer than most layers. Those with unrolled
    layers are by themselves, because these are modules of the same names."""
    single = [number for number in numbers if any(stage.unrolled for stage in plan_of(number)[1].stages)]
    rest = [number for number in numbers if number not in single]
    return [*([number] for number in single), *(rest[i : i + TOGETHER] for i in range(0, len(rest), TOGETHER))]


def samples(path: Path) -> list[tuple[int, str, str, cost.Features, float]]:
    """(layer, part, kind, features, lookup tables) of every part that was counted."""
    made = []
    for line in counted_lines(path):
        number = line["layer"]
        model, plan = plan_of(number)
        stage = plan.stages[0]
        described = cost.ends(model, plan.values, plan.stages[-1].counting.width)
        described |= {"layer0": cost.neurons(stage)}
        if (window := cost.window(stage)) is not None:
            described["window0"] = window
        for part, taken in line["counted"].items():
            kind, features = described[part]
            made.append((number, part, kind, features, taken["lookup_tables"] + taken["memory_tables"]))
    return made


def held_out(number: int) -> bool:
    """Whether layer `number` is kept from the fit: one of three, of every kind, and all that were counted later."""
    return number // 6 % 3 == 2 or number >= LATER


Report = dict[str, dict[str, float]]


def fit(
    every: list[tuple[int, str, str, cost.Features, float]],
) -> tuple[dict[str, dict[str, float]], Report, list[tuple[str, int, float, float]]]:
    """Coefficients fitted on two thirds of the layers, the errors, and (which third, layer, lookup tables, error)."""
    coefficients = {}
    for kind in sorted({kind for _, _, kind, _, _ in every}):
        # The ends of a network are few and small: all are used.
        chosen = [one for one in every if one[2] == kind and (not held_out(one[0]) or kind in ("quantize", "scores"))]
        names = list(chosen[0][3])
        matrix = np.array([[one[3][name] for name in names] for one in chosen], float)
        taken = np.array([one[4] for one in chosen], float)
        # Relative errors count, and those of tiny parts less.
        weight = 1 / (taken + 30)
        fitted, _ = nnls(matrix * weight[:, None], taken * weight)
        coefficients[kind] = {name: round(float(value), 4) for name, value in zip(names, fitted, strict=True)}
    errors = []
    for number in sorted({one[0] for one in every}):
        parts = [one for one in every if one[0] == number and one[1] in ("window0", "layer0")]
        terms = [(coefficients[kind][name], value) for _, _, kind, found, _ in parts for name, value in found.items()]
        taken_all = sum(one[4] for one in parts)
        error = sum(coefficient * value for coefficient, value in terms) / taken_all - 1
        errors.append(("held out" if held_out(number) else "fitted", number, taken_all, error))
    report = {}
    for which in ("fitted", "held out"):
        taken = np.array([luts for third, _, luts, _ in errors if third == which])
        error = np.array([one for third, _, _, one in errors if third == which])
        size, large = np.abs(error), taken > 100
        report[which] = {
            "layers": len(size),
            "mean error": round(float(size.mean()), 4),
            "median error": round(float(np.median(size)), 4),
            "within 15 %": round(float((size <= 0.15).mean()), 4),
            "largest error": round(float(size.max()), 4),
            "error of the sum": round(float((taken * error).sum() / taken.sum()), 4),
            "layers above 100 tables": int(large.sum()),
            "their mean error": round(float(size[large].mean()), 4),
            "of them within 15 %": round(float((size[large] <= 0.15).mean()), 4),
        }
    return coefficients, report, errors


def run_fit(arguments: argparse.Namespace) -> None:
    coefficients, report, errors = fit(samples(arguments.file))
    for which, number, taken, error in sorted(errors, key=lambda one: -abs(one[3]))[:12]:
        print(f"{which} layer {number}: {taken:.0f} lookup tables, {error:+.0%}")
    print(json.dumps(report, indent=2))
    if arguments.write:
        path = Path(__file__).parents[2] / "hw_export" / "cost.json"
        path.write_text(json.dumps({"coefficients": coefficients, "errors": report}, indent=2) + "\n")


def counted_lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def run_count(arguments: argparse.Namespace) -> None:
    known = {line["layer"] for line in counted_lines(arguments.out)}
    wanted = [n for n in range(arguments.first, arguments.first + arguments.layers) if n not in known]
    done = 0
    with ProcessPoolExecutor(arguments.workers) as pool, arguments.out.open("a") as out:
        for finished in as_completed([pool.submit(count, some) for some in together(wanted)]):
            lines = finished.result()
            out.write("".join(json.dumps(line) + "\n" for line in lines))
            out.flush()
            done += len(lines)
            print(f"\r{done} of {len(wanted)}", end="", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True)
    counting = commands.add_parser("count")
    counting.add_argument("--out", type=Path, required=True)
    counting.add_argument("--first", type=int, default=0)
    counting.add_argument("--layers", type=int, default=240)
    counting.add_argument("--workers", type=int, default=2)
    counting.set_defaults(run=run_count)
    fitting = commands.add_parser("fit")
    fitting.add_argument("file", type=Path)
    fitting.add_argument("--write", action="store_true")
    fitting.set_defaults(run=run_fit)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
