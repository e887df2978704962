"""Yosys takes the hardware as it is, and zero weights cost nothing where layers are unrolled."""

import numpy as np
import pytest
from random_models import random_model

from bnnhw.hw_export import HardwareError, export, synthesize
from bnnhw.model import Dense, IntegerModel, Output, Quantizer, digest


def test_every_part_is_synthesized(tmp_path):
    model = random_model(np.random.default_rng(5), (2, 4, 4), hidden=3)
    export(model, tmp_path / "hw", style="folded")
    counted = synthesize(tmp_path / "hw")
    assert counted.lookup_tables > 0
    assert counted.flip_flops > 0
    assert counted.model_digest == digest(model)
    # Nothing is left as a black box or a latch.
    assert not [name for name in counted.cells if "LD" in name or name.startswith("bnn_") or "$" in name]


def test_unrolled_zeros_take_nothing(tmp_path):
    rng = np.random.default_rng(0)
    dense = rng.choice([-1, 1], (8, 48))
    taken = []
    for kept in (1.0, 0.25):
        weights = dense * (rng.random(dense.shape) < kept)
        layer = Dense(weights, np.full(8, 3), [False] * 8)
        output = Output(np.ones((2, 8), int), [0, 0], 0)
        model = IntegerModel(Quantizer((48, 1, 1), [128]), (layer,), output)
        export(model, tmp_path / "hw", style="unrolled")
        taken.append(synthesize(tmp_path / "hw").lookup_tables)
    assert taken[1] < 0.5 * taken[0]


def test_what_cannot_be_synthesized_is_refused(tmp_path):
    export(random_model(np.random.default_rng(5)), tmp_path / "hw")
    with pytest.raises(HardwareError, match="no device family"):
        synthesize(tmp_path / "hw", "abacus")
    (tmp_path / "hw" / "bnn_top.sv").write_text("module bnn_top; endmodule")
    with pytest.raises(HardwareError, match="not the file"):
        synthesize(tmp_path / "hw")
