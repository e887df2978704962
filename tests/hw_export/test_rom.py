"""Where constant memories go: what they are as functions of their address decides."""

import numpy as np

from bnnhw.hw_export import rom


def test_columns_that_are_constant_alike_or_opposite_cost_nothing():
    one, two = np.eye(8, dtype=bool)[:, :1], np.eye(8, dtype=bool)[:, 1:2]
    constant = np.ones((8, 1), bool)
    assert rom.functions(np.hstack([one, one, ~one, two, constant])) == 2
    assert rom.varying(np.hstack([one, constant, two])).shape == (8, 2)


def test_a_function_for_every_64_words():
    deep = np.zeros((130, 1), bool)
    deep[[3, 70, 129]] = True
    assert rom.functions(deep) == 3
    deep[70] = False
    assert rom.functions(deep) == 2


def test_many_words_go_into_block_memory_and_few_do_not():
    rng = np.random.default_rng(0)
    assert rom.style(rng.random((512, 36)) < 0.5) == "block"
    assert rom.style(rng.random((216, 64)) < 0.1) == "block"
    assert rom.style(rng.random((64, 100)) < 0.5) == "auto"
    # All columns alike: one function.
    assert rom.style(np.repeat(rng.random((216, 1)) < 0.1, 64, axis=1)) == "auto"
    assert rom.style(np.zeros((4096, 64), bool)) == "auto"
