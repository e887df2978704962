"""Constant memories: where they go, what they are as functions of their address, and that synthesis makes just that."""

import json
from importlib.resources import files

import numpy as np
import pytest

from bnnhw.hw_export import rom, synthesis
from bnnhw.hw_export.memory import text


def test_columns_that_are_constant_alike_opposite_or_address_cost_nothing():
    one, two = np.eye(8, dtype=bool)[:, :1], np.eye(8, dtype=bool)[:, 1:2]
    constant, address = np.ones((8, 1), bool), np.arange(8)[:, None] & 2 == 2
    assert rom.tables(np.hstack([one, one, ~one, two, constant, address, ~address])) == 2
    assert rom.varying(np.hstack([one, constant, two])).shape == (8, 2)


def test_a_table_for_every_64_words_and_one_that_chooses():
    deep = np.zeros((130, 1), bool)
    deep[[3, 70, 129]] = True
    assert rom.tables(deep) == 4
    deep[70] = False
    assert rom.tables(deep) == 3
    assert rom.tables(np.tile(deep[:64], (4, 1))) == 1


def test_many_words_go_into_block_memory_and_few_do_not():
    rng = np.random.default_rng(0)
    assert rom.style(rng.random((512, 36)) < 0.5) == "block"
    assert rom.style(rng.random((216, 64)) < 0.1) == "block"
    assert rom.style(rng.random((64, 100)) < 0.5) == "auto"
    # All columns alike: one function.
    assert rom.style(np.repeat(rng.random((216, 1)) < 0.1, 64, axis=1)) == "auto"
    assert rom.style(np.zeros((4096, 64), bool)) == "auto"


MEMORY = """\
module memory (input wire clk, input wire go, input wire [{address}:0] address, output reg [{data}:0] data);
  reg [{data}:0] words[0:{last}];
  initial $readmemh("words.mem", words);
  always @(posedge clk) if (go) data <= words[address];
endmodule
"""


def mapped(where, columns):
    """The cells of a memory with these contents [word, bit], as Yosys maps it: their kinds, and the netlist."""
    words, bits = columns.shape
    numbers = [int("".join("01"[bit] for bit in reversed(row)), 2) for row in columns.astype(int).tolist()]
    (where / "words.mem").write_text(text(numbers, bits))
    (where / "memory.sv").write_text(MEMORY.format(address=(words - 1).bit_length() - 1, data=bits - 1, last=words - 1))
    synthesis.map_cells(where, "memory", "xc7", "write_json netlist.json")
    return json.loads((where / "netlist.json").read_text())["modules"]["memory"]


def tables(module):
    return sum(cell["type"].startswith("LUT") for cell in module["cells"].values())


def read(module, address):
    """The data after a clock with this address, whatever the registers held before."""
    cells = {
        pins[out][0]: (cell, pins)
        for cell in module["cells"].values()
        for pins in [cell["connections"]]
        for out in ("O", "Q")
        if out in pins
    }
    given = {bit: address >> place & 1 for place, bit in enumerate(module["ports"]["address"]["bits"])}
    given |= {module["ports"]["go"]["bits"][0]: 1}

    def value(bit, held, registers):
        """A net's; registers: those of the registers are what they held, otherwise what they take in."""
        if bit in given or isinstance(bit, str):
            return given[bit] if bit in given else int(bit)
        cell, pins = cells[bit]
        kind = cell["type"]
        if kind == "FDRE" and registers:
            return held
        if kind == "FDRE":
            assert value(pins["CE"][0], held, True) == 1
            return 0 if value(pins["R"][0], held, True) else value(pins["D"][0], held, True)
        if kind in ("IBUF", "OBUF"):
            return value(pins["I"][0], held, registers)
        if kind == "INV":
            return 1 - value(pins["I"][0], held, registers)
        assert kind.startswith("LUT"), kind
        place = sum(value(pins[f"I{i}"][0], held, registers) << i for i in range(int(kind[3:])))
        return int(cell["parameters"]["INIT"][::-1][place])

    after = [[value(bit, held, False) for bit in module["ports"]["data"]["bits"]] for held in (0, 1)]
    assert after[0] == after[1]
    return after[0]


def contents(seed, words, bits, share):
    return np.random.default_rng(seed).random((words, bits)) < share


@pytest.mark.parametrize(
    ("words", "bits", "share", "functions"),
    [(64, 40, 0.5, 40), (18, 33, 0.2, 31), (216, 5, 0.1, None), (129, 34, 0.5, None)],
)
def test_a_memory_is_its_functions_and_still_holds_its_words(tmp_path, words, bits, share, functions):
    columns = contents(0, words, bits, share)
    # The first word is 0, so that no column is stored as its opposite, which would have to be turned at the pins.
    columns[0] = False
    columns = np.hstack([columns, columns[:, :2], np.ones((words, 1), bool)])
    module = mapped(tmp_path, columns)
    if functions is not None:
        assert tables(module) == rom.tables(columns) == functions
    # How a choice is made is left to Yosys.
    assert abs(tables(module) - rom.tables(columns)) <= 0.05 * rom.tables(columns)
    for address in range(words):
        assert read(module, address) == columns[address].tolist()


def test_opposite_columns_share_a_table_and_a_register(tmp_path):
    columns = contents(1, 64, 6, 0.5)
    module = mapped(tmp_path, np.hstack([columns, ~columns]))
    assert tables(module) == 6
    assert sum(cell["type"] == "FDRE" for cell in module["cells"].values()) == 6
    for address in range(64):
        assert read(module, address) == [*columns[address].tolist(), *(~columns[address]).tolist()]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("i*WIDTH+first", "i*WIDTH"),
        (">> (first", "<< (first"),
        ("i*32+place] ^ WORDS[place]", "i*32+place]"),
        ("(i < SIZE) ?", "(i < SIZE - 1) ?"),
        ("high ^ HIGH[0] : low", "high : low"),
        ("LOW === 0 && &HIGH === 1'b1", "&HIGH === 1'b1"),
        ("LOW === HIGH", "LOW[0] === HIGH[0]"),
    ],
)
def test_every_mutant_of_the_mapping_reads_a_wrong_word(tmp_path, monkeypatch, before, after):
    rule = (files("bnnhw.hw_export") / "constant_memory.v").read_text()
    assert before in rule
    (tmp_path / "constant_memory.v").write_text(rule.replace(before, after))
    monkeypatch.setattr(synthesis, "files", lambda _: tmp_path)
    where = tmp_path / "memory"
    where.mkdir()
    columns = contents(2, 150, 36, 0.5)
    columns[64:128, :2] = True
    module = mapped(where, columns)
    assert any(read(module, address) != columns[address].tolist() for address in range(150))
