"""What differs between the neurons of an unrolled layer, for the cost model."""

import re
from dataclasses import replace

import numpy as np
import pytest

from bnnhw.hw_export.alike import Different, different
from bnnhw.hw_export.stage import stages
from bnnhw.hw_export.unrolled import module, neurons
from bnnhw.model import Dense, IntegerModel, Output, Quantizer


def layer(weights, thresholds, levels=1):
    """The neurons of an unrolled dense layer, and the bits of a level."""
    weights = np.asarray(weights)
    dense = Dense(weights, thresholds, [False] * len(weights))
    output = Output(np.ones((2, len(weights)), int), [0, 0])
    model = IntegerModel(Quantizer((weights.shape[1], 1, 1), np.arange(1, levels + 1)), (dense,), output)
    stage = replace(stages(model)[0], unrolled=True)
    return neurons(stage), stage.width


@pytest.mark.parametrize("inputs", [7, 12, 20, 40, 75])
@pytest.mark.parametrize("levels", [1, 3])
def test_one_neuron_has_the_counters_of_its_text(inputs, levels):
    cells, width = layer(np.ones((1, inputs), int), [inputs // 2], levels)
    text, _ = module(cells[0].at_least)
    sizes = re.findall(r"n(\d+)_\d+ = count(\d)", text)
    made = different(cells, width)
    first, further = ([size for level, size in sizes if (level == "1") == begun] for begun in (True, False))
    assert made.first_lowest == len(first)
    assert made.first == sum(1 + (size == "6") for size in first)
    assert made.further == sum(1 + (size == "6") for size in further)
    assert made.looked_up == text.count("reached[last]")


def test_signs_only_turn_lowest_bits_around_and_equal_neurons_are_one():
    plain = np.ones(12, int)
    turned = plain.copy()
    turned[[2, 9]] = -1
    alone = different(*layer([plain], [6]))
    assert different(*layer([plain, plain], [6, 6])) == alone
    both = different(*layer([plain, turned], [6, 6]))
    assert (both.first_lowest, both.first) == (alone.first_lowest, 2 * alone.first)


def test_tables_are_alike_where_they_are_the_same_or_opposite_functions():
    nothing = Different(0, 0, 0, 0)
    # A bit as it is, turned around, or always the same takes no table.
    assert different(*layer([[1, 0], [-1, 0]], [1, 0])) == nothing
    assert different(*layer([[1, 1, 0], [0, 1, 1]], [1, 1])).looked_up == 2
    # Either of two; not both of their opposites.
    assert different(*layer([[1, 1, 0], [-1, -1, 0]], [1, 0])).looked_up == 1
    assert different(*layer([[1, 1, 0], [-1, -1, 0]], [1, -1])).looked_up == 2
