"""Would a style between folded and unrolled be smaller than both? Counted by Yosys, layers alone.

    python benchmarks/hw_export/hybrid.py [MODEL CYCLES INDEX]

The hybrid: all neurons at once and a word of inputs a clock, as a folded layer may have it, but without weights in
registers. Each weight is a constant of the counter that says which word it is, and goes into the table that makes the
input's literal: of up to 32 words a literal is one table of six inputs, and inputs without weights in any word vanish.
Literals are summed by counters of six. Everything else is `bnn_mvtu.sv`, whose text is changed here; the hybrid is
equal to it for inputs of one bit.

Without arguments, dense layers of random weights; with a model, its layer INDEX at CYCLES clocks an image. One line of
JSON a layer: lookup tables of the three.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bnnhw.hw_export import plan
from bnnhw.hw_export.emit import contents
from bnnhw.hw_export.folding import Plan
from bnnhw.hw_export.synthesis import count_cells, tally
from bnnhw.hw_export.top import alone
from bnnhw.model import Dense, IntegerModel, Output, Quantizer, load

REGISTERS = """\
  reg [PE*SIMD-1:0] literals;
  wire [2*PE*SIMD-1:0] planes = weights[weight];
  wire [SIMD-1:0] chosen = s_data[slice*SIMD+:SIMD];
  reg busy1, first1, last1, complete1;
  reg busy2, first2, last2, complete2;
  wire [PE*RESULT-1:0] results;
  integer n;
  always @(posedge clk)
    if (go)
      for (n = 0; n < PE; n = n + 1)
        literals[n*SIMD+:SIMD] <= (planes[n*SIMD+:SIMD] & chosen) | (planes[(PE+n)*SIMD+:SIMD] & ~chosen);
"""
SUM = """\
      localparam integer SIXES = (SIMD + 5) / 6;
      wire [6*SIXES-1:0] bits = {{(6 * SIXES - SIMD) {1'b0}}, literals[lane*SIMD+:SIMD]};
      reg [ADDED_WIDTH-1:0] added;
      for (i = 0; i < SIXES; i = i + 1) begin : term
        wire [2:0] six = {2'd0, bits[6*i]} + {2'd0, bits[6*i+1]} + {2'd0, bits[6*i+2]}
                       + {2'd0, bits[6*i+3]} + {2'd0, bits[6*i+4]} + {2'd0, bits[6*i+5]};
        wire [ADDED_WIDTH-1:0] carried, sum;
        if (i == 0) begin : start
          assign carried = {ADDED_WIDTH{1'b0}};
        end else begin : link
          assign carried = term[i-1].sum;
        end
        assign sum = carried + six;
      end

"""


def hybrid(where: Path) -> None:
    """Change `bnn_mvtu.sv` in ``where``."""
    path = where / "bnn_mvtu.sv"
    text = path.read_text()
    for begin, end, made in (
        ("  // Stage 1:", "  genvar lane, i;", REGISTERS),
        ("      wire [SIMD-1:0] plus", "      // Stage 3:", SUM),
        ("added <= term[SIMD-1].sum", ";", "added <= term[SIXES-1].sum"),
    ):
        first = text.index(begin)
        text = text[:first] + made + text[text.index(end, first) :]
    path.write_text(text)


def count(folded: Plan, part: str, change: Callable[[Path], None] = lambda where: None) -> int:
    """Lookup tables of one part alone."""
    with tempfile.TemporaryDirectory() as scratch:
        where = Path(scratch)
        for name, data in contents(folded.model, folded).items():
            if name.endswith((".sv", ".mem")) and name not in ("bnn_top.sv", "bnn_accelerator.sv"):
                (where / name).write_bytes(data)
        (where / "alone.sv").write_text(alone(folded.model, folded)[part])
        change(where)
        taken = tally(count_cells(where, "alone", "xc7")[1])
        return taken["lookup_tables"] + taken["memory_tables"]


def compare(model: IntegerModel, cycles: int, index: int) -> dict[str, object]:
    """Lookup tables of layer ``index`` in the three styles, without its window."""
    folded, unrolled = plan(model, cycles, "folded"), plan(model, cycles, "unrolled")
    stage, name = folded.stages[index], f"layer{index}"
    assert stage.counting is not None
    if stage.width > 1:
        raise SystemExit(f"layer {index} has inputs of several bits")
    density = float((stage.counting.weights != 0).mean())
    words = stage.groups * stage.taps * stage.slices
    told: dict[str, object] = {"density": round(density, 2), "pe": stage.pe, "simd": stage.simd, "words": words}
    told |= {"folded": count(folded, name), "hybrid": count(folded, name, hybrid), "unrolled": count(unrolled, name)}
    return told


def dense(density: float, words: int) -> IntegerModel:
    rng = np.random.default_rng(0)
    weights = rng.choice([-1, 1], (16, 96)) * (rng.random((16, 96)) < density)
    layer = Dense(weights, rng.integers(-3, 4, 16), [False] * 16)
    return IntegerModel(Quantizer((96, 1, 1), [128]), (layer,), Output(rng.choice([-1, 1], (2, 16)), [0, 0], 0))


def main() -> None:
    if sys.argv[1:]:
        print(json.dumps(compare(load(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
        return
    for density in (0.1, 0.4, 1.0):
        for words in (4, 16, 32):
            print(json.dumps(compare(dense(density, words), words, 0)), flush=True)


if __name__ == "__main__":
    main()
