"""The plain L-infinity adversary: projected gradient descent on pixels (Madry et al., ICLR 2018).

Clean images are integers and so is the radius, so whatever real-valued pixel the search ends on, its floor is an
integer pixel of the same ball with the same level: nothing the adversary finds lies outside what the verifier asks.
"""

from __future__ import annotations

from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from bnnhw.nn.network import Network

LONGEST_DENOMINATOR = 10**6
CW_SLACK = 1e-3


def training_radius(epsilon: float, pixel_min: int, pixel_max: int) -> int:
    """``floor(epsilon * (pixel_max - pixel_min))`` in pixel units, the float read as the simple fraction it stands for.

    >>> training_radius(8 / 255, 0, 255), training_radius(0.1, 0, 255)
    (8, 25)
    """
    exact = Fraction(epsilon).limit_denominator(LONGEST_DENOMINATOR)
    return int(exact * (pixel_max - pixel_min))


def step_size(radius: float, steps: int) -> float:
    """``max(min(1.5 / steps, 1), 0.3) * radius`` (Jia and Rinard, NeurIPS 2020)."""
    return max(min(1.5 / steps, 1.0), 0.3) * radius


def attack_loss(logits: Tensor, labels: Tensor, kind: str = "xent") -> Tensor:
    """What the adversary climbs, one number an image: float[N] of logits [N, classes].

    "xent": cross entropy. "nll": ``-logit[label]``, which ignores the rivals. "cw": ``-relu(logit[label] -
    max(others) + 0.001)``, which stops caring once an image is lost (after Carlini and Wagner, S&P 2017).
    """
    if kind == "xent":
        return F.cross_entropy(logits, labels, reduction="none")
    own = logits.gather(1, labels[:, None])[:, 0]
    if kind == "nll":
        return -own
    others = logits.scatter(1, labels[:, None], -torch.inf).amax(dim=1)
    return -(own - others + CW_SLACK).clamp(min=0)


def _ball(network: Network, pixels: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    low = (pixels - radius).clamp_(min=network.quantizer.pixel_min)
    return low, (pixels + radius).clamp_(max=network.quantizer.pixel_max)


def random_start(network: Network, pixels: Tensor, radius: int, generator: torch.Generator | None) -> Tensor:
    """float32[N, C, H, W]: of each image's ball a random image, real-valued. Drawn on the CPU, so that every device
    starts from the same images."""
    low, high = _ball(network, pixels, radius)
    return torch.lerp(low, high, torch.rand(pixels.shape, generator=generator).to(pixels.device))


def pgd(
    network: Network,
    pixels: Tensor,
    labels: Tensor,
    radius: int,
    steps: int,
    generator: torch.Generator | None = None,
    loss: str = "xent",
    start: Tensor | None = None,
) -> Tensor:
    """Adversarial pixels: float32[N, C, H, W], for each image the iterate with the highest loss.

    A single step from a random start is not compared with it, which saves a third of its time.

    pixels: float32[N, C, H, W] of integer pixels. labels: int64[N]. radius: pixel units. steps: signed-gradient steps
    from ``start``, or else from a random image of the ball. loss: as ``attack_loss``. The network is used in the mode
    it is in, inside ``network.frozen()``: in training mode with the batch's statistics, in eval mode with its own.
    """
    if radius <= 0 or steps <= 0:
        return pixels
    low, high = _ball(network, pixels, radius)
    if start is None:
        start = random_start(network, pixels, radius, generator)
        compared = steps > 1
    else:
        compared = True
    current = start.clone()
    step = step_size(radius, steps)
    best = current
    best_loss: Tensor | None = None
    with network.frozen():
        for number in range(steps + compared):
            last = number == steps
            current.requires_grad_(not last)
            with torch.set_grad_enabled(not last):
                losses = attack_loss(network(current), labels, loss)
            found = losses.detach()
            if best_loss is None:
                best, best_loss = current.detach(), found
            else:
                better = found > best_loss
                best = torch.where(better[:, None, None, None], current.detach(), best)
                best_loss = torch.where(better, found, best_loss)
            if last:
                break
            (gradient,) = torch.autograd.grad(losses.sum(), current)
            current = torch.clamp(current.detach().add(gradient.sign(), alpha=step), low, high)
    return best if compared else current
