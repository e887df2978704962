"""Every kernel in every form that is launched compiles to the instructions it was written for, and spills nothing."""

from dataclasses import replace

import pytest

pytest.importorskip("triton")
pytest.importorskip("torch")

from bnnhw.kernels.gpu import ahead_of_time
from bnnhw.kernels.gpu.ahead_of_time import TARGETS, Variant, census

# Of 65,536 registers a multiprocessor: at 96 a thread five programs of four warps run side by side, at 128 four and at
# 248 two, or one of eight warps.
TENSOR_CORE_REGISTERS = {(2, 2): 96, (4, 2): 128, (4, 4): 248}
"""By a warp's tiles."""


def names(variants):
    return [pytest.param(variant, id=variant.name) for variant in variants]


def compiled(variant: Variant, target: str, registers: int):
    counted = census(variant, target)
    assert (counted.stack_bytes, counted.spilled_bytes) == (0, 0)
    assert counted.opcodes["STL"] == counted.opcodes["LDL"] == 0
    assert counted.registers <= registers, counted
    return counted


@pytest.mark.parametrize("target", ["sm_80", "sm_90"])
@pytest.mark.parametrize("variant", names(ahead_of_time.tensor_core_variants()))
def test_tensor_core(variant, target):
    tiles_m, tiles_n = variant.constants["TILES_M"], variant.constants["TILES_N"]
    counted = compiled(variant, target, TENSOR_CORE_REGISTERS[tiles_m, tiles_n])
    loop = counted.loop_with("BMMA")
    products, fragments = 2 * tiles_m * tiles_n, tiles_m + tiles_n
    # The compiler may unroll; a step is as many products as a warp has tiles of 8 columns, and one load a fragment.
    steps = loop["BMMA"] // products
    assert (loop["BMMA"], loop["LDG"]) == (steps * products, steps * fragments)
    assert loop["BMMA"] >= 0.3 * loop.total()
    assert loop["SHFL"] == loop["LDS"] == loop["BAR"] == 0
    assert counted.shared_bytes == 0
    assert counted.opcodes["IMMA"] == 0


CONV_REGISTERS = {"32x32": 80, "128x32": 128, "128x64": 168, "128x128": 176}
"""By tile: programs of four warps run three side by side at 168."""


@pytest.mark.parametrize("target", ["sm_80", "sm_90"])
@pytest.mark.parametrize("variant", names(ahead_of_time.conv_tensor_core_variants()))
def test_conv_tensor_core(variant, target):
    tiles_m, tiles_n = variant.constants["TILES_M"], variant.constants["TILES_N"]
    counted = compiled(variant, target, CONV_REGISTERS[variant.name.split()[-1]])
    loop = counted.loop_with("BMMA")
    planes = 1 if variant.constants["BINARY"] else 2
    # Per step: products with each plane, one with ones; a load for each row of a fragment or, where a thread's words
    # may be of two pixels, each word; one for each fragment of weights; and those of the table.
    products, fragments = 2 * tiles_m * tiles_n * planes + tiles_m, tiles_n * planes
    gathered = (2 if variant.constants["PAIRS"] else 4) * tiles_m
    table = 4 if variant.constants["PAD_ONES"] else 3
    steps = loop["BMMA"] // products
    assert (loop["BMMA"], loop["LDG"]) == (steps * products, steps * (gathered + fragments + table))
    # All else is there to know where to gather; half of what one word at a time with 64-bit offsets took.
    assert loop.total() - loop["BMMA"] - loop["LDG"] <= steps * (80 if variant.constants["PAIRS"] else 92)
    assert loop["SHFL"] == loop["LDS"] == loop["BAR"] == 0
    assert counted.shared_bytes == 0


@pytest.mark.parametrize("target", ["sm_80", "sm_90", "sm_100"])
@pytest.mark.parametrize("variant", names(ahead_of_time.conv_popcount_variants()))
def test_conv_popcount(variant, target):
    loop = compiled(variant, target, 96).loop_with("POPC")
    c = variant.constants
    each = c["ROWS"] * c["COLUMNS"] // (32 * variant.warps)
    # One population count for each plane, or for the one plane and, shared by a thread's columns, the activations.
    assert loop["POPC"] == (each + max(1, c["ROWS"] // 128) if c["BINARY"] else 2 * each)
    # Weights reach all threads of a row through shared memory, once a word.
    assert loop["SHFL"] == 0
    assert loop["BAR"] <= 4


@pytest.mark.parametrize("target", ["sm_80", "sm_90", "sm_100"])
@pytest.mark.parametrize("variant", names(ahead_of_time.popcount_variants()))
def test_popcount(variant, target):
    counted = compiled(variant, target, 128)
    loop = counted.loop_with("POPC")
    each = variant.constants["ROWS"] * variant.constants["COLUMNS"] // (32 * variant.warps)
    steps = loop["POPC"] // each
    # Each word pair of a thread: one population count and one XOR, with nothing moved between threads.
    assert loop["POPC"] == steps * each
    assert loop["LOP3"] <= loop["POPC"] + 2
    assert loop["SHFL"] == loop["LDS"] == loop["BAR"] == 0


@pytest.mark.parametrize(("target", "instruction"), [("sm_80", "IMMA"), ("sm_90", "IGMMA"), ("sm_100", "IMMA")])
@pytest.mark.parametrize("variant", names(ahead_of_time.int8_variants()))
def test_int8(variant, target, instruction):
    counted = compiled(variant, target, 168)
    loop = counted.loop_with(instruction)
    # Bits are unpacked four to a register and stored 16 bytes at a time: far from one instruction a product's operand.
    bytes_each = (variant.constants["ROWS"] + variant.constants["COLUMNS"]) * variant.constants["STEP"] // variant.warps
    assert loop["STS"] <= bytes_each // 16 + 2
    assert loop["LOP3"] <= bytes_each // 4 + 8


@pytest.mark.parametrize("target", ["sm_80", "sm_90", "sm_100"])
@pytest.mark.parametrize("variant", names(ahead_of_time.gemv_variants()))
def test_gemv(variant, target):
    loop = compiled(variant, target, 80).loop_with("POPC")
    assert loop["SHFL"] == 0


@pytest.mark.parametrize("target", ["sm_80", "sm_90", "sm_100"])
@pytest.mark.parametrize("variant", names(ahead_of_time.pack_sign_variants()))
def test_pack_sign(variant, target):
    compiled(variant, target, 64)


AROUND = (
    ahead_of_time.quantize_pack_variants,
    ahead_of_time.max_pool_variants,
    ahead_of_time.scores_argmax_variants,
    ahead_of_time.batch_norm_statistics_variants,
    ahead_of_time.pack_threshold_variants,
    ahead_of_time.norm_backward_variants,
)


@pytest.mark.parametrize("target", ["sm_80", "sm_90", "sm_100"])
@pytest.mark.parametrize("variant", names(v for family in AROUND for v in family()))
def test_what_is_around_the_products(variant, target):
    counted = compiled(variant, target, 128)
    if variant.name.startswith("scores_argmax"):
        assert counted.loop_with("POPC")["SHFL"] == 0


@pytest.mark.parametrize("target", ["sm_80", "sm_90"])
@pytest.mark.parametrize("variant", names(ahead_of_time.conv_weight_gradient_variants()))
def test_conv_weight_gradient(variant, target):
    counted = compiled(variant, target, 168)
    assert counted.opcodes["HMMA"] + counted.opcodes["HGMMA"] > 0


PORTABLE = [
    *((variant, "v_bcnt_u32_b32") for variant in ahead_of_time.popcount_variants()),
    *((variant, "v_bcnt_u32_b32") for variant in ahead_of_time.conv_popcount_variants()),
    *((variant, "v_bcnt_u32_b32") for variant in ahead_of_time.gemv_variants()),
    *((variant, "v_mfma_i32") for variant in ahead_of_time.int8_variants()),
    *((variant, "v_bcnt_u32_b32") for variant in ahead_of_time.pack_sign_variants()),
    *((variant, "v_bcnt_u32_b32") for variant in ahead_of_time.scores_argmax_variants()),
    *((variant, "v_mfma_f32") for variant in ahead_of_time.conv_weight_gradient_variants()),
    *((variant, "v_") for family in AROUND for variant in family()),
]


@pytest.mark.parametrize(("variant", "instruction"), [pytest.param(*case, id=case[0].name) for case in PORTABLE])
def test_amd(variant, instruction):
    counted = compiled(variant, "gfx942", 256)
    assert any(opcode.startswith(instruction) for opcode in counted.opcodes)


FAMILIES = (
    *AROUND,
    ahead_of_time.conv_weight_gradient_variants,
    ahead_of_time.conv_popcount_variants,
    ahead_of_time.conv_tensor_core_variants,
    ahead_of_time.tensor_core_variants,
    ahead_of_time.popcount_variants,
    ahead_of_time.int8_variants,
    ahead_of_time.gemv_variants,
    ahead_of_time.pack_sign_variants,
)


# Convolutions in all forms of their first configuration, other kernels in one.
FORMS = (
    *(family()[0] for family in FAMILIES),
    *ahead_of_time.conv_popcount_variants()[1 : len(ahead_of_time.CONV_FORMS)],
    *ahead_of_time.conv_tensor_core_variants()[1 : len(ahead_of_time.CONV_FORMS)],
)


@pytest.mark.parametrize("variant", names(FORMS))
def test_integers_that_are_one(variant):
    """The launcher turns them into constants, and a kernel for one row, one column or one word is another program."""
    integers = [name for name, kind in variant.arguments.items() if kind == "i32"]
    pointers = {name: kind for name, kind in variant.arguments.items() if kind != "i32"}
    ones = {**variant.constants, **dict.fromkeys(integers, 1)}
    compiled(replace(variant, arguments=pointers, constants=ones), "sm_90", 128)


def test_the_one_bit_instruction_is_emulated_on_blackwell():
    """Why `dispatch` does not choose the tensor core kernel there."""
    counted = census(ahead_of_time.tensor_core_variants()[0], "sm_100")
    assert counted.opcodes["BMMA"] == 0
    assert counted.opcodes["IMMA"] > 0


def test_an_argument_that_is_missing_or_unknown_is_named():
    variant = ahead_of_time.gemv_variants()[0]
    constants = {name: value for name, value in variant.constants.items() if name != "STEP"}
    with pytest.raises(ValueError, match=r"gemv 1x16: arguments \['STEP'\]"):
        replace(variant, constants=constants).compile("sm_90")


def test_a_loop_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no loop has BMMA"):
        census(ahead_of_time.gemv_variants()[0], "sm_90").loop_with("BMMA")
    assert set(TARGETS) == {"sm_80", "sm_90", "sm_100", "gfx942"}
