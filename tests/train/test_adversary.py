"""The adversary stays in the ball and finds what is there to find."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from bnnhw.nn import build
from bnnhw.train import pgd
from bnnhw.train.adversary import attack_loss, step_size, training_radius


def example() -> tuple[object, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    network = build("conv-small", (1, 8, 8), (0, 16), 10, quantizer=(4, 8, 12))
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 17, (200, 1, 8, 8), generator=generator).float()
    network(pixels)
    return network.eval(), pixels, torch.randint(0, 10, (200,), generator=generator)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("training", [True, False])
def test_every_pixel_stays_in_the_ball_and_in_range(steps: int, training: bool) -> None:
    network, pixels, labels = example()
    network.train(training)
    found = pgd(network, pixels, labels, 2, steps, torch.Generator().manual_seed(3))
    assert (found - pixels).abs().max() <= 2
    assert found.min() >= 0
    assert found.max() <= 16
    assert (found.floor() - pixels).abs().max() <= 2
    assert torch.equal(network.quantizer(found), network.quantizer(found.floor()))


def test_the_losses_are_their_formulas() -> None:
    logits = torch.tensor([[2.0, 0.5, -1.0], [0.0, 3.0, 1.0]])
    labels = torch.tensor([0, 2])
    expected = torch.tensor([math.log(1 + math.exp(-1.5) + math.exp(-3)), math.log(1 + math.exp(2) + math.exp(-1))])
    torch.testing.assert_close(attack_loss(logits, labels, "xent"), expected)
    assert torch.equal(attack_loss(logits, labels, "nll"), torch.tensor([-2.0, -1.0]))
    # Won by 1.5: -1.501; lost by 2: nothing more to gain.
    torch.testing.assert_close(attack_loss(logits, labels, "cw"), torch.tensor([-1.501, 0.0]))


@pytest.mark.parametrize("loss", ["nll", "cw"])
def test_each_loss_is_what_its_attack_climbs(loss: str) -> None:
    network, pixels, labels = example()
    found = pgd(network, pixels, labels, 2, 8, torch.Generator().manual_seed(3), loss)
    before, after = (attack_loss(network(x), labels, loss).mean() for x in (pixels, found))
    assert after > before


def test_more_steps_find_a_higher_loss_and_the_same_seed_the_same_pixels() -> None:
    network, pixels, labels = example()
    losses = [F.cross_entropy(network(pixels), labels).item()]
    for steps in (1, 8):
        found = pgd(network, pixels, labels, 2, steps, torch.Generator().manual_seed(3))
        again = pgd(network, pixels, labels, 2, steps, torch.Generator().manual_seed(3))
        assert torch.equal(found, again)
        losses.append(F.cross_entropy(network(found), labels).item())
    assert losses[0] < losses[1] < losses[2]


def test_a_climb_from_a_given_image_never_falls_below_it() -> None:
    network, pixels, labels = example()
    for steps in (1, 4):
        start = pgd(network, pixels, labels, 2, 3, torch.Generator().manual_seed(3))
        found = pgd(network, pixels, labels, 2, steps, start=start)
        before, after = (F.cross_entropy(network(x), labels, reduction="none") for x in (start, found))
        assert bool((after >= before).all())
        assert bool((after > before).any())
        assert (found - pixels).abs().max() <= 2


def test_no_radius_or_no_steps_is_no_attack() -> None:
    network, pixels, labels = example()
    assert torch.equal(pgd(network, pixels, labels, 0, 5), pixels)
    assert torch.equal(pgd(network, pixels, labels, 3, 0), pixels)


def test_the_radius_is_the_exact_floor() -> None:
    for numerator in range(256):
        assert training_radius(numerator / 255, 0, 255) == numerator
    assert training_radius(0.1, 0, 255) == 25
    assert training_radius(0.3, 0, 255) == 76
    assert training_radius(0.1, 0, 16) == 1
    assert training_radius(0.2, -10, 10) == 4


def test_steps_shrink_with_their_number_down_to_a_floor() -> None:
    assert [step_size(10, n) for n in (1, 2, 3, 10)] == [10, 7.5, 5, 3]
