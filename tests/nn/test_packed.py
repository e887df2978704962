"""A packed training step equals the plain one: logits, every gradient, running averages; and keeps a fraction of it."""

import copy
from functools import partial

import pytest

pytest.importorskip("triton")
import torch
import torch.nn.functional as F

from bnnhw.kernels.gpu.packed_layer import filters_of, packed_layer, packed_sums
from bnnhw.kernels.gpu.ternary_filters import ternary_filters
from bnnhw.nn import build, set_gradient
from bnnhw.nn.packed import packed_logits


def network(arch: str, quantizer, width: float, density: float):
    torch.manual_seed(3)
    made = build(arch, (1, 12, 12), (0, 255), 10, quantizer=quantizer, width=width, density=density)
    with torch.no_grad():
        for layer in made.layers[:-1]:
            layer.norm.scale.uniform_(-1.5, 1.5)
            layer.norm.shift.uniform_(-0.7, 0.7)
    return made.train()


@pytest.mark.parametrize(
    ("arch", "quantizer"), [("conv-small", (100,)), ("conv-large", (60, 120, 200)), ("mnist-mlp", (128,))]
)
@pytest.mark.parametrize("density", [1.0, 0.4])
def test_the_same_step(arch, quantizer, density):
    plain = network(arch, quantizer, 0.25, density)
    packed = copy.deepcopy(plain)
    pixels = torch.randint(0, 256, (16, 1, 12, 12)).float()
    labels = torch.randint(0, 10, (16,))
    results = []
    for made, forward in ((plain, lambda x: plain(x)), (packed, lambda x: packed_logits(packed, x))):
        x = pixels.clone().requires_grad_()
        logits = forward(x)
        F.cross_entropy(logits, labels).backward()
        averages = [b for layer in made.layers[:-1] for b in (layer.norm.mean, layer.norm.var)]
        results.append((logits, [x.grad, *(p.grad for p in made.parameters())], averages))
    (logits, gradients, averages), (their_logits, their_gradients, their_averages) = results
    torch.testing.assert_close(their_logits, logits, rtol=1e-4, atol=1e-5)
    for one, other in zip(their_gradients, gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    for one, other in zip(their_averages, averages, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def saved_bytes(forward, pixels) -> int:
    """Bytes that autograd keeps for the backward pass, each storage once."""
    storages: dict[int, int] = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = forward(pixels)
    del kept
    return sum(storages.values())


def test_activations_take_a_fraction_of_the_memory():
    """What grows with the batch; weights and their masks, which do not, are the same on both sides."""
    made = network("conv-large", (100,), 0.5, 1.0)
    small, large = (torch.randint(0, 256, (count, 1, 12, 12)).float() for count in (32, 64))
    plain = saved_bytes(made, large) - saved_bytes(made, small)
    packed = saved_bytes(partial(packed_logits, made), large) - saved_bytes(partial(packed_logits, made), small)
    assert packed * 20 < plain


def random_layer(levels: int = 2):
    torch.manual_seed(levels)
    weights = torch.randint(-1, 2, (5, 3, 2, 2)).float().requires_grad_()
    words = torch.randint(0, 2 ** (3 * levels), (2, 4, 4, 1), dtype=torch.int32)
    carrier = torch.zeros(2, 3, 4, 4, requires_grad=True)
    scale, shift = torch.randn(5, requires_grad=True), torch.randn(5, requires_grad=True)
    return words, carrier, weights, scale, shift, torch.tensor(1.2), levels, [1, 2], [1, 0]


def test_operators_are_registered_as_torch_wants_them():
    words, carrier, weights, scale, shift, slope, *geometry = random_layer()
    torch.library.opcheck(torch.ops.bnnhw.packed_sums.default, (words, carrier, weights, *geometry))
    # The last of its checks differentiates the sum of all outputs, which are integers here too: the next test compiles.
    torch.library.opcheck(
        torch.ops.bnnhw.packed_layer.default,
        (words, carrier, weights, scale, shift, slope, *geometry),
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )


def test_a_layer_compiles_as_one_graph():
    arguments = random_layer()

    def loss(words, carrier, weights, *rest):
        made, bits, _, _ = packed_layer(words, carrier, weights, *rest)
        return packed_sums(made, bits, torch.ones(1, 5, 5, 2), 1, [1, 1], [0, 0]).sum()

    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    differentiable = [x for x in arguments if isinstance(x, torch.Tensor) and x.requires_grad]
    expected = torch.autograd.grad(loss(*arguments), differentiable)
    found = torch.autograd.grad(compiled(*arguments), differentiable)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_sums_and_their_gradient_by_finite_differences():
    """Sums are linear in the weights and the values, so a difference of any size is the derivative."""
    words, carrier, weights, *_ = random_layer(1)
    g = torch.randn(2, 5, 5, 3).round()
    sums = packed_sums(words, carrier, weights, 1, [1, 1], [1, 0])
    (gw, gx) = torch.autograd.grad((sums * g).sum(), (weights, carrier))
    for index in [(0, 0, 0, 0), (4, 2, 1, 1), (2, 1, 0, 1)]:
        moved = weights.detach().clone()
        moved[index] = 1.0 if weights[index] < 1 else 0.0
        difference = ((packed_sums(words, carrier, moved, 1, [1, 1], [1, 0]) - sums) * g).sum()
        assert difference == gw[index] * (moved[index] - weights[index])
    for n, c, y, x in [(0, 0, 0, 0), (1, 2, 3, 3)]:
        flipped = words.clone()
        flipped[n, y, x, 0] ^= 1 << c
        sign = 1.0 if int(flipped[n, y, x, 0]) >> c & 1 else -1.0
        difference = ((packed_sums(flipped, carrier, weights, 1, [1, 1], [1, 0]) - sums) * g).sum()
        assert difference == gx[n, c, y, x] * sign


def test_weights_pack_on_the_device_as_on_the_host():
    weights = torch.randint(-1, 2, (7, 33, 2, 3)).float()
    found, expected = filters_of(weights), ternary_filters(weights.to(torch.int8).numpy())
    assert torch.equal(found.planes, expected.planes)
    assert torch.equal(found.fragments, expected.fragments)
    assert torch.equal(found.taps, expected.taps)


def test_what_cannot_be_packed_is_refused():
    made = network("conv-small", (100,), 0.25, 1.0)
    with pytest.raises(ValueError, match="for training"):
        packed_logits(made.eval(), torch.zeros(1, 1, 12, 12))
    set_gradient(made, 1.0, hard=True)
    with pytest.raises(ValueError, match="gradient"):
        packed_logits(made.train(), torch.zeros(2, 1, 12, 12))
