"""Compiled steps are the same functions: bits, intervals and gradients as without compiling."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F

from bnnhw.nn import build
from bnnhw.nn.fused import fused
from bnnhw.nn.variants import set_speed
from bnnhw.train.intervals import Affines, propagate


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch):
    """torch's default back end compiles C++ for a minute; this one runs the same graph."""
    fused.cache_clear()
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    yield
    fused.cache_clear()


@pytest.mark.parametrize("arch", ["conv-small", "conv-small-pool"])
def test_a_training_step_is_the_same(traced: None, arch: str) -> None:
    found = []
    for compiled in (False, True):
        torch.manual_seed(0)
        network = build(arch, (1, 8, 8), (0, 16), 10, quantizer=(4, 8, 12), width=0.5)
        set_speed(network, fused=compiled, mixed=False)
        pixels, labels = torch.randint(0, 17, (32, 1, 8, 8)).float(), torch.randint(0, 10, (32,))
        affines = Affines()
        logits = network(pixels, affines.observe)
        wider = (pixels - 2).clamp(min=0), (pixels + 2).clamp(max=16)
        reached = propagate(network, *wider, labels, affines.found)
        (F.cross_entropy(logits, labels) + F.cross_entropy(reached.logits, labels)).backward()
        found.append((logits, reached, {name: value.grad for name, value in network.named_parameters()}, network))
    (plain, reached, gradients, network), (logits, again, others, twin) = found
    torch.testing.assert_close(logits, plain)
    torch.testing.assert_close(again.logits, reached.logits)
    for one, other in zip(again.undecided, reached.undecided, strict=True):
        assert torch.equal(one, other)
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, rtol=1e-3, atol=1e-5)
    for one, other in zip(twin.layers, network.layers, strict=True):
        torch.testing.assert_close((one.norm.mean, one.norm.var), (other.norm.mean, other.norm.var))


def test_eval_mode_is_never_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """It decides what the integer model is; its float64 is not left to a compiler."""
    network = build("conv-small", (1, 8, 8), (0, 16), 10, quantizer=(4,)).eval()
    set_speed(network, fused=True, mixed=False)

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("compiled")

    monkeypatch.setattr("bnnhw.nn.network.fused", forbidden)
    network(torch.zeros(2, 1, 8, 8))
    with pytest.raises(AssertionError, match="compiled"):
        network.train()(torch.zeros(2, 1, 8, 8))
