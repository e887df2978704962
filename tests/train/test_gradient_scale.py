"""Adaptive gradient cancelling: the choice among the scales, and a search that is the attack it says it is."""

from __future__ import annotations

import pytest
import torch

from bnnhw.nn import build
from bnnhw.train import pgd
from bnnhw.train.gradient_scale import SCALES, search_gradient_scale, strongest


@pytest.mark.parametrize(
    ("counts", "images", "chosen"),
    [
        ({0.6: 50, 1.0: 40, 1.4: 30}, 100, 1.4),
        ({0.6: 30, 1.0: 30, 1.4: 30}, 100, 1.0),
        ({0.6: 30, 1.4: 30, 3.0: 29}, 100, 3.0),
        # Of 5120 images, counts less than four apart are equal.
        ({1.0: 33, 1.8: 31, 3.0: 30}, 5120, 1.0),
        ({1.0: 34, 1.8: 31, 3.0: 30}, 5120, 1.8),
        ({1.0: 34, 1.8: 34, 3.0: 30}, 5120, 3.0),
    ],
)
def test_the_lowest_count_wins_and_near_ones_are_settled_by_nearness_to_one(
    counts: dict[float, int], images: int, chosen: float
) -> None:
    assert strongest(counts, images) == chosen


def test_each_scale_is_tried_from_the_same_start_and_the_strongest_is_left_set() -> None:
    torch.manual_seed(0)
    network = build("conv-small", (1, 8, 8), (0, 16), 10, quantizer=(4, 8, 12), width=0.5)
    pixels, labels = torch.randint(0, 17, (70, 1, 8, 8)).to(torch.uint8), torch.randint(0, 10, (70,))
    before = {name: value.clone() for name, value in network.state_dict().items() if "binarize" not in name}
    counts = search_gradient_scale(network, pixels, labels, 2, 2, batch=32, base=2.0, seed=5)
    after = network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert tuple(counts) == SCALES
    found = float(network.hidden[0].binarize.scale)
    assert found == pytest.approx(2 * strongest(counts, 64))
    assert float(network.hidden[2].binarize.scale) == found
    for layer in network.hidden:
        layer.binarize.scale.fill_(2 * 1.4)
    generator, right = torch.Generator().manual_seed(5), 0
    for start in (0, 32):
        part, truth = pixels[start : start + 32].float(), labels[start : start + 32]
        attacked = pgd(network, part, truth, 2, 2, generator)
        with network.frozen():
            right += int((network(attacked).argmax(dim=1) == truth).sum())
    assert counts[1.4] == right
