"""Networks whose hardware has every part, small enough to simulate in a second, and changes that nobody declared."""

from __future__ import annotations

import hashlib
import json

import numpy as np

from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, Output, Quantizer

QUICK = ("OPT_FAST=-O0", "OPT_GLOBAL=-O0")
"""For Verilator: these simulations are compiled for longer than they run."""


def ternary(rng, *shape):
    return rng.integers(-1, 2, shape)


def directions(rng, count):
    return rng.random(count) < 0.4


def conv_net(rng):
    """Two channels, 5 levels, negative pixels, uneven stride and padding, thresholds by position, both poolings."""
    first = Conv(
        ternary(rng, 6, 2, 3, 2), rng.integers(-4, 5, (6, 7, 4)), directions(rng, 6), stride=(1, 2), padding=(1, 1)
    )
    pool = MaxPool((2, 2), (2, 1), [True, False, False, True, True, False])
    second = Conv(ternary(rng, 4, 6, 2, 2), rng.integers(-2, 3, 4), directions(rng, 4), padding=(1, 0))
    dense = Dense(ternary(rng, 9, 32), rng.integers(-3, 4, 9), directions(rng, 9))
    output = Output(ternary(rng, 10, 9), rng.integers(-20, 20, 10), 4)
    quantizer = Quantizer((2, 7, 7), np.sort(rng.integers(-2, 6, (5, 1, 1, 1)), axis=0), -3, 5)
    return IntegerModel(quantizer, (first, pool, second, dense), output)


def dense_net(rng):
    """Thresholds by pixel, 8 levels, channels that never change, ties in the scores."""
    low, high = -(2**31) + 1, 2**31 - 1
    first = Dense(ternary(rng, 12, 9), [low, high, *rng.integers(-9, 10, 10)], directions(rng, 12))
    second = Dense(ternary(rng, 6, 12), [low, high, 0, 1, -1, 0], [True, True, False, False, True, False])
    output = Output(ternary(rng, 4, 6), [0, 0, 0, 0], 0)
    quantizer = Quantizer((1, 3, 3), np.sort(rng.integers(0, 257, (8, 1, 3, 3)), axis=0))
    return IntegerModel(quantizer, (first, second), output)


def output_only(rng):
    return IntegerModel(Quantizer((3, 2, 1), [300, 800], 0, 1000), (), Output(ternary(rng, 2, 6), [-1, 0], 1))


def forge(folder, name, change):
    """Change a file and let the manifest agree: what only simulation can find."""
    file = folder / name
    before = file.read_text()
    file.write_text(change(before))
    assert file.read_text() != before
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256(file.read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
