"""Every claim about a part can fail: a small change of any of its lines is refuted, by the part that it is in."""

import re
import shutil

import numpy as np
import pytest

from bnnhw.hw_export import HardwareError, export, plan
from bnnhw.hw_export.netlist import Cases, Netlist, Refuted, read_netlist, show_moves
from bnnhw.hw_export.parts import claims
from bnnhw.model import Conv, Dense, IntegerModel, MaxPool, Output, Quantizer

MUTANTS = {
    "bnn_counter.sv": [
        ("last ? 0 : count + 1'b1", "count + 1'b1"),
        ("if (rst) count <= 0;", "if (rst) count <= 1;"),
        ("value == COUNT - 1", "value == COUNT - 2"),
    ],
    "bnn_quantize.sv": [
        ("pixel} >= limits", "pixel} > limits"),
        ("(reached[k]) level", "(reached[0]) level"),
        ("s_last != beat_last", "s_last && !beat_last"),
        ("frame_error <= 1'b1", "frame_error <= !frame_error"),
        ("!m_valid || m_ready", "m_ready"),
        ("thresholds[place]", "thresholds[0]"),
    ],
    "bnn_pack.sv": [
        ("{s_data, m_data[PACK*WIDTH-1:WIDTH]}", "{m_data[(PACK-1)*WIDTH-1:0], s_data}"),
        ("m_valid <= take && last", "m_valid <= take"),
    ],
    "bnn_pool.sv": [
        ("if (tap == 0) m_data <= s_data", "if (tap == 1) m_data <= s_data"),
        ("(CONJUNCTIVE & m_data & s_data)", "(~CONJUNCTIVE & m_data & s_data)"),
        ("(m_data | s_data)", "(m_data ^ s_data)"),
    ],
    "bnn_rows.sv": [
        ("held < ROWS", "held < ROWS - 1"),
        ("$signed(held) >= needed", "$signed(held) + 1 >= needed"),
        ("$signed(held) >= needed", "$signed(held) > needed"),
        ("(top > 0) ? top : 0;", "(top > 1) ? top : 0;"),
        ("row * STRIDE_H", "row * (STRIDE_H + 1)"),
        ("row_last ? IN_H", "row_last ? IN_H - 1"),
        ("oldest_turn >= ROWS", "oldest_turn > ROWS"),
        ("+ {31'd0, row_taken} - released", "+ {31'd0, take} - released"),
        (".COUNT(IN_W)", ".COUNT(IN_W + 1)"),
        ("(bottom > kept_next) ? bottom : kept_next", "bottom"),
    ],
    "bnn_window.sv": [
        ("(y >= 0) && ", ""),
        (".row_done(row_done)", ".row_done(step)"),
        ("(x < IN_W)", "(x <= IN_W)"),
        ("slot * IN_W + x", "slot * IN_W + tap_column"),
        ("(turn >= ROWS) ? turn - ROWS : turn", "turn"),
        ("in_slot * IN_W + in_column", "oldest * IN_W + in_column"),
        ("if (take) ring[place]", "if (s_valid) ring[place]"),
        ("padding) ? {WIDTH{1'b0}}", "padding) ? {WIDTH{1'b1}}"),
        ("step && tap_column_last && tap_row_last && pass_last", "step && tap_column_last && tap_row_last"),
        ("rows_ready && (!m_valid || m_ready)", "rows_ready && m_ready"),
        ("if (step) word <= ", "if (rows_ready) word <= "),
        ("padding <= !on_image", "padding <= !on_image && m_ready"),
    ],
    "bnn_patch.sv": [
        ("swept + 1 >= KERNEL_W", "swept >= KERNEL_W"),
        ("first_complete && (phase == 0)", "first_complete"),
        (".rst(rst || row_done)", ".rst(rst)"),
        ("$signed(swept) - PAD_W", "$signed(swept) - PAD_W - 1"),
        ("in_slot == slot", "in_slot >= slot"),
        ("(r*KERNEL_W+c+1)", "(r*KERNEL_W+c)"),
        ("padding ? {WIDTH{1'b0}} : words", "words"),
        ("m_valid <= read && read_complete", "m_valid <= read"),
        ("if (step) read_complete", "if (go) read_complete"),
        ("if (go && read)", "if (read)"),
    ],
    "bnn_mvtu.sv": [
        ("plus[i] ? level : minus[i] ? ALL - level", "minus[i] ? level : plus[i] ? ALL - level"),
        ("ALL - level", "ALL"),
        ("term[i-1].sum", "term[0].sum"),
        ("(total > MOST)", "(total > MOST + 1)"),
        ("MOST[COUNT_WIDTH-1:0] : total", "total[COUNT_WIDTH-1:0] : total"),
        ("first2 ? {SUM_WIDTH", "last2 ? {SUM_WIDTH"),
        ("if (busy2) count <= stopped", "count <= stopped"),
        ("stopped >= limit2", "stopped > limit2"),
        ("!= limit2[COUNT_WIDTH]", "== limit2[COUNT_WIDTH]"),
        ("limit2 <= limit1", "limit2 <= entries[lane*ENTRY+:ENTRY]"),
        ("wire go = !m_valid || m_ready", "wire go = m_ready"),
        ("weights[weight]", "weights[0]"),
        ("(slice == 0) && (tap == 0)", "(slice == 0)"),
        ("complete1 <= slice_last && tap_last && group_last", "complete1 <= slice_last && tap_last"),
        ("busy2 <= busy1", "busy2 <= s_valid"),
        ("{results, m_data}", "{m_data[OUT_WIDTH-1:0], results}"),
        ("busy2 && last2) m_data", "busy2) m_data"),
        (".COUNT(PLACES * GROUPS)", ".COUNT(GROUPS)"),
    ],
    "bnn_scores.sv": [
        ("score > best_score", "score >= best_score"),
        ("wire signed [31:0] score", "wire [31:0] score"),
        ("beat == 0 || better", "better"),
        ("(count << SHIFT)", "(count << (SHIFT + 1))"),
        ("sent && !m_last", "sent"),
        ("sent = m_valid && m_ready", "sent = m_valid"),
        ("best_class <= beat", "best_class <= 1 + beat"),
        ("!m_valid || (m_last && m_ready)", "!m_valid || m_last"),
        ("if (s_ready) counts <= s_data", "counts <= s_data"),
        (".COUNT(CLASSES + 1)", ".COUNT(CLASSES)"),
    ],
}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """All parts in one: convolutions folded and unrolled, pooling, packing, levels by pixel."""
    rng = np.random.default_rng(3)

    def ternary(*shape):
        return rng.integers(-1, 2, shape)

    first = Conv(ternary(4, 2, 3, 3), rng.integers(-3, 4, (4, 5, 3)), [False, True] * 2, stride=(1, 2), padding=(1, 1))
    pool = MaxPool((1, 2), (2, 1), [True, False, False, True])
    second = Conv(ternary(3, 4, 3, 2), rng.integers(-2, 3, 3), [False, True, False], stride=(1, 2), padding=(1, 1))
    third = Conv(ternary(6, 3, 2, 1), rng.integers(-1, 3, (6, 2, 2)), [False, True] * 3)
    fourth = Dense(ternary(4, 24), rng.integers(-2, 3, 4), [False, True] * 2)
    quantizer = Quantizer((2, 5, 5), np.sort(rng.integers(-2, 6, (5, 1, 5, 5)), axis=0), -3, 5)
    model = IntegerModel(
        quantizer, (first, pool, second, third, fourth), Output(ternary(3, 4), rng.integers(-20, 20, 3), 2)
    )
    folder = tmp_path_factory.mktemp("parts") / "hw"
    export(model, folder, target_cycles=45, style="unrolled")
    return model, folder


def wrong(model, folder):
    try:
        netlist = read_netlist(folder)
    except (HardwareError, Refuted):
        return ["bnn_top"]
    found = []
    for claim in claims(model, plan(model, 45, "unrolled"), netlist):
        try:
            claim.show()
        except Refuted:
            found.append(claim.part)
    return found


def test_the_network_has_all_parts_and_all_are_shown(healthy):
    model, folder = healthy
    top = (folder / "bnn_top.sv").read_text()
    used = set(re.findall(r"^  (bnn_\w+) ", top, re.MULTILINE)) | {"bnn_counter", "bnn_rows"}
    assert {name.removesuffix(".sv") for name in MUTANTS} <= used
    assert wrong(model, folder) == []


@pytest.mark.parametrize(
    ("name", "before", "after"), [(name, *change) for name, changes in MUTANTS.items() for change in changes]
)
def test_every_mutant_of_a_part_is_refuted(healthy, tmp_path, name, before, after):
    model, folder = healthy
    shutil.copytree(folder, tmp_path / "hw")
    text = (folder / name).read_text()
    assert before in text
    (tmp_path / "hw" / name).write_text(text.replace(before, after, 1))
    assert wrong(model, tmp_path / "hw") != []


def test_each_value_of_a_beat_has_its_own_lane(tmp_path):
    rng = np.random.default_rng(0)
    dense = Dense(rng.integers(-1, 2, (4, 8)), rng.integers(0, 3, 4), [False] * 4)
    model = IntegerModel(Quantizer((2, 2, 2), [3]), (dense,), Output(rng.integers(-1, 2, (3, 4)), [0, 1, 2]))
    export(model, tmp_path / "hw", target_cycles=1)
    made = plan(model, 1)
    assert made.values > 1

    def refuted():
        found = []
        for claim in claims(model, made, read_netlist(tmp_path / "hw")):
            try:
                claim.show()
            except Refuted:
                found.append(claim.part)
        return found

    assert refuted() == []
    file = tmp_path / "hw" / "bnn_quantize.sv"
    text = file.read_text()
    assert "s_data[v*LANE+:PIXEL_WIDTH]" in text
    file.write_text(text.replace("s_data[v*LANE+:PIXEL_WIDTH]", "s_data[0+:PIXEL_WIDTH]"))
    assert refuted() == ["quantize"]


def test_more_levels_than_a_machine_word_has_bits_are_shown(tmp_path):
    quantizer = Quantizer((1, 1, 2), np.arange(1, 71), 0, 127)
    model = IntegerModel(quantizer, (), Output([[1, -1], [0, 1]], [0, 3]))
    export(model, tmp_path / "hw")
    netlist = read_netlist(tmp_path / "hw")
    assert all(claim.show() > 0 for claim in claims(model, plan(model), netlist))


def gates(**driven):
    """A netlist of gates; nets are numbers from 2 on, and named after themselves."""
    names = {str(net): (net,) for net in range(2, 12)}
    return Netlist(names, {int(net[1:]): gate for net, gate in driven.items()}, {}, {}, {})


@pytest.mark.parametrize(
    ("kind", "table"),
    [
        ("$_AND_", {(0, None): 0, (1, None): None, (1, 1): 1, (None, 0): 0}),
        ("$_OR_", {(1, None): 1, (0, None): None, (0, 0): 0, (None, 1): 1}),
        ("$_XOR_", {(1, None): None, (0, 1): 1, (1, 1): 0, (None, None): None}),
        ("$_NOT_", {(0,): 1, (1,): 0, (None,): None}),
        (
            "$_MUX_",
            {(0, 1, 0): 0, (0, 1, 1): 1, (1, 1, None): 1, (0, 1, None): None, (None, 1, 1): 1, (None, 1, 0): None},
        ),
    ],
)
def test_gates_carry_the_unknown(kind, table):
    netlist = gates(n9=(kind, tuple(range(2, 2 + len(next(iter(table)))))))
    for inputs, wanted in table.items():
        cases = Cases(netlist, 1)
        for net, value in enumerate(inputs, 2):
            if value is not None:
                cases.give([net], value)
        for claimed in (0, 1):
            if claimed == wanted:
                assert cases.expect("9", [9], claimed) == 1
            else:
                with pytest.raises(Refuted):
                    cases.expect("9", [9], claimed)


def test_what_is_claimed_to_move_must_move_and_depend_on_nothing_else():
    netlist = gates(n8=("$_MUX_", (2, 3, 4)), n9=("$_MUX_", (3, 2, 4)), n10=("$_AND_", (2, 5)))
    assert show_moves(netlist, "moves", [8, 9], [2, 3], [([4], 0)]) == 4
    for target, source, given in (([8, 9], [2, 3], 1), ([9, 8], [2, 3], 0), ([10], [2], 0), ([8], ["0"], 0)):
        with pytest.raises(Refuted):
            show_moves(netlist, "moves", target, source, [([4], given)])


def test_values_that_cannot_be_are_refused():
    netlist = gates()
    with pytest.raises(Refuted, match="always 0"):
        Cases(netlist, 2).give(["0"], [0, 1])
    with pytest.raises(Refuted, match="the same"):
        Cases(netlist, 2).give([2, 2], [0, 1])
    with pytest.raises(Refuted, match="fit"):
        Cases(netlist, 1).give([2], 2)
