"""The C++ module itself refuses arrays smaller than the geometry it is told, instead of reading past them."""

import numpy as np
import pytest

from bnnhw.kernels import _cpu

WORD = np.zeros((1, 1), np.uint64)
PLANES = np.zeros((1, 1, 2, 8), np.uint64)
GEOMETRY = (1, 2, 2, 2, 2, 1, 1, 0, 0)


def sums(*shape):
    return np.zeros(shape, np.int32)


def program(levels):
    """Of 2x2 pixels."""
    return _cpu.Program((1, 1, 2, 2), sums(1, 1, 1, 1), levels)


def scored():
    made = program(0)
    made.add_ternary(GEOMETRY, PLANES, 8, None)
    made.set_scores(sums(8), 0)
    return made


def lanes(scored):
    """Of 2x2 pixels, where the processor has tables in registers; elsewhere nothing can be built."""
    made = _cpu.ImageLanes((1, 1, 2, 2), sums(1, 1, 1, 1))
    if scored:
        made.add_product(GEOMETRY, np.ones((8, 4), np.int8), None)
        made.set_scores(sums(8), 0)
    return made


@pytest.mark.parametrize(
    "call",
    [
        lambda: _cpu.ternary_dense(WORD, 2, PLANES, 8, 64, sums(2, 8), None, None, 1),
        lambda: _cpu.ternary_dense(WORD, 1, PLANES, 8, 65, sums(1, 8), None, None, 1),
        lambda: _cpu.ternary_dense(WORD, 1, PLANES, 9, 64, sums(1, 9), None, None, 1),
        lambda: _cpu.ternary_dense(WORD, 1, PLANES, 8, 64, sums(1, 7), None, None, 1),
        lambda: _cpu.ternary_dense(WORD, 1, PLANES, 8, 64, None, None, None, 1),
        lambda: _cpu.ternary_dense(WORD, 1, PLANES, 8, 64, None, WORD.copy(), (sums(1, 7), np.zeros(1, np.uint8)), 1),
        lambda: _cpu.ternary_conv(WORD, 1, (1, 9, 9, 1, 1, 1, 1, 0, 0), PLANES, 8, sums(1, 81, 8), None, None, 1),
        lambda: _cpu.ternary_conv(WORD, 1, (1, 2, 2, 3, 3, 1, 1, 0, 0), PLANES, 8, sums(1, 1, 8), None, None, 1),
        lambda: _cpu.level_conv(
            np.zeros(3, np.uint8), 1, (4, 1, 1, 1, 1, 1, 1, 0, 0), np.zeros(32, np.int16), 8, sums(8), None, None, 1
        ),
        lambda: _cpu.max_pool(WORD, 1, (65, 1, 1, 1, 1, 1, 1, 0, 0), WORD, WORD.copy(), 1),
        lambda: _cpu.quantize(np.zeros(3, np.uint8), (1, 1, 2, 2), sums(1, 1, 1, 1), np.zeros(4, np.uint8), 1),
        lambda: _cpu.quantize(np.zeros(4, np.uint8), (1, 1, 2, 2), sums(1, 3, 1, 1), np.zeros(4, np.uint8), 1),
        lambda: _cpu.ternary_dense(WORD, 1, PLANES[:, :, :1].copy(), 9, 64, sums(1, 9), None, None, 1),
        lambda: _cpu.DigitWeights(np.zeros(4, np.int8)),
        lambda: _cpu.digit_dense(WORD, 2, _cpu.DigitWeights(np.ones((3, 64), np.int8)), sums(2, 3), None, None, 1),
        lambda: _cpu.LookupWeights(np.ones(4, np.int8)),
        lambda: _cpu.lookup_dense(WORD, 2, _cpu.LookupWeights(np.ones((3, 64), np.int8)), sums(2, 3), None, None, 1),
        lambda: lanes(False).add_product(GEOMETRY, np.ones((3, 5), np.int8), None),
        lambda: lanes(False).add_product((1, 3, 3, 3, 3, 1, 1, 0, 0), np.ones((3, 9), np.int8), None),
        lambda: lanes(False).add_product(GEOMETRY, np.ones((8, 4), np.int8), (sums(7), np.zeros(1, np.uint8))),
        lambda: lanes(False).add_pool(GEOMETRY, np.zeros(2, np.uint8)),
        lambda: lanes(False).set_scores(sums(3), 0),
        lambda: lanes(False).run(np.zeros(4, np.uint8), 1, 1, np.zeros(8, np.int64), np.zeros(1, np.int64)),
        lambda: lanes(True).add_product((8, 1, 1, 1, 1, 1, 1, 0, 0), np.ones((3, 8), np.int8), None),
        lambda: lanes(True).run(np.zeros(3, np.uint8), 1, 1, np.zeros(8, np.int64), np.zeros(1, np.int64)),
        lambda: lanes(True).run(np.zeros(4, np.uint8), 1, 1, np.zeros(7, np.int64), np.zeros(1, np.int64)),
        lambda: program(1).add_tiles(GEOMETRY, np.ones((3, 5), np.int8), None),
        lambda: program(0).add_tiles(GEOMETRY, np.ones((3, 4), np.int8), None),
        lambda: program(0).add_levels(GEOMETRY, np.zeros(32, np.int16), 8, None),
        lambda: program(1).add_ternary(GEOMETRY, PLANES, 8, None),
        lambda: program(0).add_ternary(GEOMETRY, PLANES, 8, (sums(7), np.zeros(1, np.uint8))),
        lambda: program(0).add_ternary((1, 3, 3, 3, 3, 1, 1, 0, 0), PLANES, 8, None),
        lambda: program(0).set_scores(sums(3), 0),
        lambda: program(0).run(np.zeros(4, np.uint8), 1, 1, 0, np.zeros(0, np.int64), np.zeros(1, np.int64)),
        lambda: scored().run(np.zeros(3, np.uint8), 1, 1, 0, np.zeros(8, np.int64), np.zeros(1, np.int64)),
        lambda: scored().run(np.zeros(4, np.uint8), 1, 1, 0, np.zeros(7, np.int64), np.zeros(1, np.int64)),
        lambda: scored().trace(np.zeros(3, np.uint8), 1),
        lambda: scored().add_pool_of_bits(GEOMETRY, WORD[0]),
        lambda: _cpu.scores_argmax(sums(1, 3), 1, sums(2), 0, np.zeros(3, np.int64), np.zeros(1, np.int64)),
    ],
)
def test_arrays_that_are_too_small_are_refused(call):
    with pytest.raises(ValueError):
        call()
