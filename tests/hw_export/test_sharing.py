"""The order in which unrolled neurons count their inputs: every input once, counters in common."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnhw.hw_export import sharing


def counted(weights, ordered):
    signed = [[(place, row[place]) for place in order] for row, order in zip(weights.tolist(), ordered, strict=True)]
    return sum(sharing.tables({counter for inputs in signed for counter in sharing.counters(inputs)}))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 40), st.sampled_from([0.2, 0.6, 1.0]))
def test_every_input_is_counted_once_and_no_order_of_the_two_is_better(seed, neurons, inputs, density):
    rng = np.random.default_rng(seed)
    weights = (rng.choice([-1, 1], (neurons, inputs)) * (rng.random((neurons, inputs)) < density)).astype(np.int8)
    ordered = sharing.orders(weights)
    for row, order in zip(weights, ordered, strict=True):
        assert sorted(order) == np.flatnonzero(row).tolist()
    assert counted(weights, ordered) <= counted(weights, [np.flatnonzero(row).tolist() for row in weights])


def test_neurons_that_share_six_inputs_of_the_same_signs_start_with_them():
    weights = np.zeros((2, 30), np.int8)
    weights[0, [0, 3, 7, 11, 20, 21, 22, 23, 24, 29]] = 1
    weights[1, [1, 3, 7, 9, 13, 20, 22, 24, 29]] = 1
    weights[:, 7] = -1
    first, second = sharing.orders(weights)
    assert first[:6] == second[:6] == [3, 20, 22, 24, 29, 7]
    # Of another sign it is another input.
    weights[1, 7] = 1
    first, second = sharing.orders(weights)
    assert first[:6] != second[:6]
