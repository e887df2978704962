"""The collection's networks: the same bits, scores' order and ties as their real arithmetic, and as its OPB files."""

from __future__ import annotations

import gzip
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import published_networks
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bnnhw.importers import SourceError, bnn_verification, read_image
from bnnhw.importers.archive import Archive, read_archive
from bnnhw.model import Dense, IntegerModel, ModelError
from bnnhw.model.reference import predict, trace
from bnnhw.verify import Keeps, build, check, linf_ball

IMAGES = [("mnist", "bnn_mnist_7_label9"), ("mnist_rot", "bnn_mnist_rot_16_label5")]


def convert(arrays: published_networks.Arrays) -> IntegerModel:
    return bnn_verification.convert(Archive("net.npz", arrays))


def exact_bits(arrays: published_networks.Arrays, name: str, sums: list[Fraction]) -> list[int]:
    """Signs of a batch norm over exact ``sums``, in 100-digit arithmetic: what is nearer 0 than 1e-60 is 0."""
    parts = (arrays[f"{name}/{part}"].tolist() for part in ("gamma", "beta", "avg_mean", "avg_var"))
    bits = []
    with localcontext() as context:
        context.prec = 100
        for x, gamma, beta, mean, var in zip(sums, *parts, strict=True):
            value = Decimal(x.numerator) / Decimal(x.denominator) - Decimal(mean)
            z = Decimal(gamma) * value / (Decimal(var) + Decimal("2e-5")).sqrt() + Decimal(beta)
            bits.append(1 if z > Decimal("-1e-60") else -1)
    return bits


def exact_run(arrays: published_networks.Arrays, pixels: list[int]) -> tuple[list[list[int]], list[Fraction]]:
    """Bipolar activations of every block and the real scores, by the format's own definition."""
    bits = exact_bits(arrays, "input_bn", [Fraction(p, 255) for p in pixels])
    blocks = []
    k = 0
    while f"blocks/{k}/lin/W" in arrays:
        bits = exact_bits(arrays, f"blocks/{k}/bn", linear(arrays, f"blocks/{k}/lin", bits))
        blocks.append(bits)
        k += 1
    return blocks, linear(arrays, "output_lin", bits)


def linear(arrays: published_networks.Arrays, name: str, bits: list[int]) -> list[Fraction]:
    rows = np.where(arrays[f"{name}/W"] >= 0, 1, -1) @ np.array(bits)
    return [int(row) + Fraction(b) for row, b in zip(rows, arrays[f"{name}/b"].tolist(), strict=True)]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_bit_and_every_highest_score_is_the_real_networks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = published_networks.bnn_verification(rng)
    model = convert(arrays)
    images = rng.choice([0, 50, 51, 52, 101, 102, 103, 254, 255], (8, *model.quantizer.shape))
    found = trace(model, images)
    for n, image in enumerate(images):
        blocks, scores = exact_run(arrays, image.reshape(-1).tolist())
        for bits, wanted in zip(found.bits, blocks, strict=True):
            assert bits[n, :, 0, 0].tolist() == [a > 0 for a in wanted]
        highest = [s == max(scores) for s in scores]
        assert [s == found.scores[n].max() for s in found.scores[n]] == highest


def test_every_pixel_value_of_a_column_is_the_real_bit() -> None:
    rng = np.random.default_rng(4)
    arrays = published_networks.bnn_verification(rng, pixels=16)
    assert arrays["input_bn/gamma"].min() < 0
    model = convert(arrays)
    images = np.repeat(np.arange(256), 16).reshape(256, *model.quantizer.shape)
    bits = trace(model, images).bits[0]
    for value in range(256):
        assert bits[value, :, 0, 0].tolist() == [a > 0 for a in exact_run(arrays, [value] * 16)[0][0]]


def test_equal_scores_stay_equal() -> None:
    arrays = published_networks.bnn_verification(np.random.default_rng(0), classes=3)
    arrays["output_lin/W"][:] = arrays["output_lin/W"][0]
    arrays["output_lin/b"] = np.array([0.1, 0.3, 0.3], "f4")
    model = convert(arrays)
    images = np.random.default_rng(1).integers(0, 256, (50, *model.quantizer.shape))
    scores = trace(model, images).scores
    assert (scores[:, 1] == scores[:, 2]).all()
    assert (scores[:, 1] > scores[:, 0]).all()
    assert (predict(model, images) == 1).all()


def change(key: str, value: Any) -> published_networks.Arrays:
    arrays = published_networks.bnn_verification(np.random.default_rng(2))
    if value is None:
        del arrays[key]
    else:
        arrays[key] = np.asarray(value, "f4")
    return arrays


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("blocks/0/lin/W", None, "blocks/0/lin/W"),
        ("blocks/1/bn/beta", None, "blocks/1/bn/beta"),
        ("blocks/7/lin/W", [[1.0]], "blocks/7/lin/W"),
        ("output_lin/b", [1.0, 2.0], "output_lin/b must have shape \\(4\\)"),
        ("output_lin/b", [1, 2, 3, np.nan], "output_lin/b has a value that is not finite"),
        ("output_lin/W", np.full((4, 5), np.nan), "output_lin/W has a value that is not a number"),
        ("input_bn/avg_var", [-1.0] * 9, "input_bn/avg_var is negative"),
        ("blocks/1/lin/W", np.ones((5, 7)), "blocks/1/lin/W must have shape \\(any, 6\\)"),
    ],
)
def test_what_is_missing_or_does_not_fit_is_named(key: str, value: Any, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        convert(change(key, value))


def picture(path: Path, pixels: np.ndarray[Any, Any]) -> Path:
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(("dataset", "transposed"), bnn_verification.COLUMNS_FIRST.items())
def test_pictures_come_in_the_networks_order(tmp_path: Path, dataset: str, transposed: bool) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (28, 28), np.uint8)
    found = read_image(picture(tmp_path / f"bnn_{dataset}_12_label7.png", pixels))
    assert found.label == 7
    assert found.pixels.dtype == np.uint8
    assert np.array_equal(found.pixels[0], pixels.T if transposed else pixels)


@pytest.mark.parametrize("name", ["seven.png", "bnn_mnist_7.png", "bnn_svhn_7_label9.png", "bnn_mnist_7_label12.png"])
def test_a_name_without_data_set_and_label_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match="name must read"):
        read_image(picture(tmp_path / name, np.zeros((28, 28), np.uint8)))


def test_other_pictures_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bnn_mnist_0_label0.png"
    for pixels in (np.zeros((28, 29), np.uint8), np.zeros((28, 28, 3), np.uint8)):
        with pytest.raises(SourceError, match="8-bit grey picture of 28x28"):
            read_image(picture(path, pixels))
    whole = picture(path, np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)).read_bytes()
    for data in (b"", b"hello", whole[:200]):
        path.write_bytes(data)
        with pytest.raises(SourceError, match="cannot be read as a PNG"):
            read_image(path)
    with pytest.raises(SourceError, match="cannot be read"):
        read_image(tmp_path / "bnn_mnist_1_label1.png")


@pytest.mark.parametrize(("network", "image"), IMAGES)
def test_published_images_are_right_and_one_step_from_wrong(collection: Path, network: str, image: str) -> None:
    """Their published minimal L-infinity distance is 1."""
    model = bnn_verification.convert(read_archive(collection / "models" / f"{network}.npz"))
    found = read_image(collection / f"{image}.png")
    assert predict(model, found.pixels[None]).tolist() == [found.label]
    ready = build(model)
    assert check(ready, linf_ball(found.pixels, 0, ready.quantizer) & Keeps(found.label)).status == "robust"
    assert check(ready, linf_ball(found.pixels, 1, ready.quantizer) & Keeps(found.label)).status == "falsified"


Linear = tuple[dict[str, int], int]
"""``sum of coefficient * variable >= bound`` as (coefficients, bound)."""


def read_opb(path: Path) -> tuple[dict[str, int], list[Linear]]:
    """The objective and the constraints of an OPB file that has only ``>=`` and, for its one-hot output, ``=``."""
    objective: dict[str, int] = {}
    constraints = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            words = line.replace(";", " ").split()
            if line.startswith("*") or not words:
                continue
            if words[0] == "min:":
                objective = {x: int(c) for c, x in zip(words[1::2], words[2::2], strict=True)}
            else:
                terms = words[:-2]
                constraints.append(({x: int(c) for c, x in zip(terms[::2], terms[1::2], strict=True)}, int(words[-1])))
    return objective, constraints


def check_objective(model: IntegerModel, pixels: np.ndarray[Any, Any], objective: dict[str, int]) -> None:
    """``x[i]`` is bit i, its coefficient the least change of pixel i that flips it, negative where the bit is 1.

    Pixels that no value flips are fixed, without coefficient, but for the first one that is fixed to 1: it carries the
    objective's constant, the sum of the costs of clearing bits.
    """
    thresholds = model.quantizer.thresholds.reshape(-1)
    constant = 0
    for i, (pixel, t) in enumerate(zip(pixels.reshape(-1).tolist(), thresholds.tolist(), strict=True)):
        coefficient = objective.get(f"x{i + 1}", 0)
        if 1 <= t <= 255:
            assert coefficient == (t - pixel if pixel < t else -(pixel - t + 1))
            constant += max(0, -coefficient)
        else:
            assert t in (0, 256)
            if coefficient:
                constant -= coefficient
    assert constant == 0


def check_neurons(model: IntegerModel, constraints: list[Linear]) -> tuple[list[str | int], int]:
    """Each neuron's two constraints, one for a bit of 1 and one for 0, are exactly the model's; constants have none.

    Returns the last layer's variables (or constants) and how many constraints were used.
    """
    names: list[str | int] = [f"x{i + 1}" for i in range(784)]
    variable, used = 795, 0
    for layer in model.hidden:
        assert isinstance(layer, Dense)
        outputs: list[str | int] = []
        for row, t, less_equal in zip(layer.weights, layer.threshold.tolist(), layer.less_equal.tolist(), strict=True):
            weights = {str(name): int(w) for name, w in zip(names, row, strict=True)}
            minus = {name: -w for name, w in weights.items()}
            low, high = int(np.minimum(row, 0).sum()), int(np.maximum(row, 0).sum())
            never, always = (low - 1, high) if less_equal else (high + 1, low)
            if t in (never, always):
                outputs.append(int(t == always))
                continue
            bit = f"x{variable}"
            variable += 1
            outputs.append(bit)
            found = {}
            for terms, bound in constraints[used : used + 2]:
                rest = dict(terms)
                # A negative coefficient binds only where the bit is 1, a positive one only where it is 0.
                switch = rest.pop(bit)
                found[switch < 0] = (rest, bound - min(switch, 0))
            if less_equal:
                assert found == {True: (minus, -t), False: (weights, t + 1)}
            else:
                assert found == {True: (weights, t), False: (minus, 1 - t)}
            used += 2
        names = outputs
    return names, used


def check_scores(model: IntegerModel, names: list[str | int], constraints: list[Linear], label: int) -> None:
    """``x785 + c`` says that class c scores at least as much as every other class; the label's is excluded."""
    weights, shift = model.output.weights.astype(int), model.output.shift
    position = 1
    for c in range(10):
        for d in range(10):
            if c == d:
                continue
            terms, bound = constraints[position]
            position += 1
            rest = dict(terms)
            switch = rest.pop(f"x{785 + c}", 0)
            # Differences of two rows are -2, 0 or 2, and the published constraints are halved.
            row = (weights[c] - weights[d]) // 2
            needed = -((int(model.output.bias[c]) - int(model.output.bias[d])) >> (shift + 1))
            constant = sum(int(w) * name for w, name in zip(row, names, strict=True) if isinstance(name, int))
            assert rest == {name: int(w) for w, name in zip(row, names, strict=True) if w and isinstance(name, str)}
            assert bound - switch == needed - constant
    assert constraints[position] == ({f"x{785 + label}": -1}, 0)


@pytest.mark.parametrize(("network", "image"), IMAGES)
def test_the_model_is_the_network_of_the_published_opb_files(collection: Path, network: str, image: str) -> None:
    model = bnn_verification.convert(read_archive(collection / "models" / f"{network}.npz"))
    found = read_image(collection / f"{image}.png")
    objective, constraints = read_opb(collection / "opb" / f"{image}_adversarial_norm_1.opb.gz")
    check_objective(model, found.pixels, objective)
    names, used = check_neurons(model, constraints)
    check_scores(model, names, constraints[used:], found.label)


def test_no_two_classes_of_the_published_networks_can_tie(collection: Path) -> None:
    for network, _ in IMAGES:
        output = bnn_verification.convert(read_archive(collection / "models" / f"{network}.npz")).output
        assert len(set((output.bias % (1 << output.shift)).tolist())) == 10


def test_a_model_that_does_not_fit_its_images_is_refused(collection: Path) -> None:
    model = bnn_verification.convert(read_archive(collection / "models" / "mnist.npz"))
    with pytest.raises(ModelError):
        predict(model, np.zeros((1, 1, 27, 28), np.uint8))
