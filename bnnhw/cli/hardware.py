"""``bnnhw export``, ``simulate``, ``synth``, ``prove-equivalence``, ``qonnx``: hardware made, run, counted, proven."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, cast, get_args

import numpy as np
import typer

import bnnhw.data
import bnnhw.hw_export
from bnnhw.cli.console import print_json, print_table, progress_bar, say
from bnnhw.cli.options import Count, DataFolder, DatasetName, First, Json, ModelFile, Workers
from bnnhw.hw_export import qonnx_graph
from bnnhw.model import digest, load, reference

Folder = Annotated[Path, typer.Option("--out", help="Folder for the hardware; replaced if it is an earlier export.")]
Vectors = Annotated[int, typer.Option("--vectors", min=0, help="Test images stored with the hardware.")]
GraphFile = Annotated[Path, typer.Option("--out", help="ONNX file; replaced.")]
Hardware = Annotated[Path, typer.Argument(help="A folder that `bnnhw export` made.", show_default=False)]
TargetCycles = Annotated[
    int | None, typer.Option("--target-cycles", min=1, help="Clocks an image may take; 4096 by default.")
]
TargetRate = Annotated[
    float | None, typer.Option("--target-fps", min=0.001, help="Images a second, instead of --target-cycles.")
]
Clock = Annotated[float, typer.Option("--clock-mhz", min=0.001, help="Clock that --target-fps counts on.")]
MaxTables = Annotated[
    int | None, typer.Option("--max-luts", min=1, help="Lookup tables at most: as fast as these allow (estimated).")
]
Device = Annotated[
    str | None, typer.Option("--device", help="As fast as this device allows, such as xc7z020 (estimated).")
]
StyleName = Annotated[
    str, typer.Option("--style", help="folded, unrolled, or auto: whichever is smaller for each layer.")
]
Family = Annotated[str, typer.Option("--family", help="Device family: xc7, xcup, ice40 or ecp5.")]
Place = Annotated[
    bool, typer.Option("--place", help="Also place and route (ecp5 and ice40, with nextpnr): the clock it allows.")
]
NetlistToo = Annotated[
    bool, typer.Option("--netlist", help="Also prove that what Yosys makes of it for Xilinx 7 series is the same.")
]
Backpressure = Annotated[
    int | None, typer.Option("--backpressure", min=0, help="Seed of random stalls on both streams; none by default.")
]
Simulator = Annotated[
    str,
    typer.Option("--simulator", help="verilator, cxxrtl (compiled by Yosys, slower) or icarus (interpreted, slowest)."),
]
Taps = Annotated[
    bool,
    typer.Option("--taps", help="Compare every layer's output, too. Without it only where a score is wrong."),
]
Waves = Annotated[
    Path | None,
    typer.Option("--waves", help="File *.vcd or *.fst for the changes of all signals, for GTKWave; with few images."),
]
ImagesARun = Annotated[
    int,
    typer.Option(
        "--images-a-run", min=1, help="Images that one process simulates; fewer make more of them for Icarus."
    ),
]


def export(
    model: ModelFile,
    dataset: DatasetName = "digits",
    data: DataFolder = None,
    out: Folder = Path("runs/hardware"),
    vectors: Vectors = 16,
    target_cycles: TargetCycles = None,
    target_fps: TargetRate = None,
    clock_mhz: Clock = 200.0,
    max_luts: MaxTables = None,
    device: Device = None,
    style: StyleName = "auto",
    json: Json = False,
) -> None:
    """Write SystemVerilog, memory files, test vectors and a manifest that binds them to the model's digest."""
    loaded = load(model)
    images = bnnhw.data.load(dataset, data)
    goals = {"--target-cycles": target_cycles, "--target-fps": target_fps, "--max-luts": max_luts, "--device": device}
    given = [name for name, value in goals.items() if value is not None]
    if len(given) > 1:
        raise bnnhw.hw_export.HardwareError(f"{' and '.join(given)} are given: give one of them")
    cycles = target_cycles or 4096
    if target_fps is not None:
        cycles = max(1, int(clock_mhz * 1e6 / target_fps))
    elif max_luts is not None or device is not None:
        budget = bnnhw.hw_export.budget(device) if device is not None else bnnhw.hw_export.Budget(max_luts or 0)
        cycles = bnnhw.hw_export.fastest(loaded, budget, _style(style))
    made = bnnhw.hw_export.export(loaded, out, images.test_images[:vectors], cycles, _style(style))
    rows = [row.__dict__ for row in bnnhw.hw_export.resources(loaded, cycles, _style(style))]
    reached = {"cycles_per_image": made.plan.cycles, "images_per_second": clock_mhz * 1e6 / made.plan.cycles}
    estimated = {"lookup_tables": made.plan.lookup_tables, "block_memories": made.plan.block_memories}
    if json:
        told = {"digest": digest(loaded), "hardware": str(out), **reached, "estimated": estimated, "resources": rows}
        print_json(told)
        return
    print_table(f"hardware of {digest(loaded)[:16]}", list(rows[0]), [list(row.values()) for row in rows])
    if made.plan.cycles > cycles:
        say(f"{cycles} clocks an image were asked for: {made.plan.cycles} is as near as this network comes")
    rate = reached["images_per_second"]
    say(f"hardware in {out}: an image every {made.plan.cycles} clocks, {rate:,.0f} a second at {clock_mhz:g} MHz")
    tables, memories = estimated["lookup_tables"], estimated["block_memories"]
    say(f"about {tables:,} lookup tables and {memories:g} block memories on Xilinx 7 series; `bnnhw synth` counts them")


def _style(name: str) -> bnnhw.hw_export.Style:
    for style in get_args(bnnhw.hw_export.Style):
        if style == name:
            return cast("bnnhw.hw_export.Style", style)
    raise bnnhw.hw_export.HardwareError(
        f"no style {name!r}: choose one of {', '.join(get_args(bnnhw.hw_export.Style))}"
    )


def simulate(
    hardware: Hardware,
    dataset: DatasetName = "digits",
    data: DataFolder = None,
    first: First = 0,
    count: Count = 200,
    backpressure: Backpressure = None,
    workers: Workers = None,
    simulator: Simulator = "verilator",
    taps: Taps = False,
    waves: Waves = None,
    images_a_run: ImagesARun = 250,
    json: Json = False,
) -> None:
    """Run test images through the simulated hardware and compare every score with reference inference.

    Where one differs, the first wrong bit of any layer is named.
    """
    images = bnnhw.data.load(dataset, data).test_images[first : first + count]
    with progress_bar("simulate", len(images)) as bar:

        def advance(compared: int) -> None:
            for _ in range(compared):
                bar.advance()

        outcome = bnnhw.hw_export.simulate(
            hardware,
            images,
            backpressure,
            workers or os.cpu_count() or 1,
            advance,
            simulator,
            taps,
            waves,
            images_a_run,
        )
    if json:
        print_json(outcome.as_json())
    else:
        told = outcome.as_json() | {"first_wrong": outcome.first_wrong}
        print_table(str(hardware), ["figure", "value"], [[name, value] for name, value in told.items()])
    if outcome.mismatches or outcome.first_wrong:
        raise typer.Exit(1)


def synth(hardware: Hardware, family: Family = "xc7", place: Place = False, json: Json = False) -> None:
    """Count what the hardware takes on a device: lookup tables, flip-flops, block memories (Yosys, before routing)."""
    counted = bnnhw.hw_export.synthesize(hardware, family, place)
    if json:
        print_json(counted.as_json())
        return
    figures = counted.as_json()
    figures |= figures.pop("placement") or {}
    rows: list[list[object]] = [[name, value] for name, value in figures.items() if name != "cells"]
    print_table(str(hardware), ["figure", "value"], rows)


def prove_equivalence(hardware: Hardware, netlist: NetlistToo = False, json: Json = False) -> None:
    """Prove, part by part and from the files, that the hardware computes its model."""
    obligations = bnnhw.hw_export.prove_equivalence(hardware, netlist)
    if json:
        print_json([one.as_json() for one in obligations])
    else:
        columns = ["part", "claim", "how", "result", "detail", "seconds"]
        results = ["proven" if one.holds else "NOT PROVEN" for one in obligations]
        rows: list[list[object]] = [
            [o.part, o.claim, o.how, result, o.detail, o.seconds]
            for o, result in zip(obligations, results, strict=True)
        ]
        print_table(str(hardware), columns, rows)
    if not all(one.holds for one in obligations):
        raise typer.Exit(1)


def qonnx(
    model: ModelFile,
    dataset: DatasetName = "digits",
    data: DataFolder = None,
    out: GraphFile = Path("runs/model.onnx"),
    first: First = 0,
    count: Count = 100,
    json: Json = False,
) -> None:
    """Write the model as a QONNX graph that FINN builds unchanged, and execute it on test images with qonnx."""
    loaded = load(model)
    images = bnnhw.data.load(dataset, data).test_images[first : first + count]
    graph = qonnx_graph.write(loaded, out)
    expected = reference.classify(reference.scores(loaded, images))
    mismatches = 0
    with progress_bar("execute", len(images)) as bar:
        for image, wanted in zip(images, expected, strict=True):
            mismatches += int(qonnx_graph.classify(graph, loaded, image[np.newaxis])[0] != wanted)
            bar.advance()
    nodes = [node.op_type for node in graph.graph.node]
    told = {
        "digest": digest(loaded),
        "graph": str(out),
        "images": len(images),
        "mismatches": mismatches,
        "nodes": nodes,
    }
    if json:
        print_json(told)
    else:
        say(f"{out}: {', '.join(nodes)}")
        say(f"{mismatches} of {len(images)} classes differ from the model's")
    if mismatches:
        raise typer.Exit(1)
