"""What synthesis makes of an export is the RTL, and changes of its cells are refuted; another solver agrees."""

import copy
import itertools
import random

import numpy as np
import pytest
from pysat.solvers import Cadical153
from random_models import random_model

from bnnhw.hw_export import export, prove_equivalence
from bnnhw.hw_export.graph import FALSE, Graph
from bnnhw.hw_export.mapped import Mapped
from bnnhw.hw_export.netlist import Refuted, read_netlist
from bnnhw.hw_export.refinement import Refinement, mapped_module
from bnnhw.hw_export.sweeping import Sweeper, decide
from bnnhw.model import Dense, IntegerModel, Output, Quantizer


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """RTL and cells of a network that has lookup tables, carries, shift registers, written and block memories."""
    rng = np.random.default_rng(4)
    sparse = np.zeros((48, 64), int)
    for row in range(47):
        kept = 2 + row % 4
        sparse[row, rng.choice(64, kept, replace=False)] = rng.choice([-1, 1], kept)
    sparse[47] = rng.choice([-1, 1], 64)
    unrolled = Dense(sparse, [1] * 47 + [0], [False, True] * 24)
    folded = Dense(rng.integers(-1, 2, (120, 48)), rng.integers(-3, 4, 120), [False] * 120)
    output = Output(rng.integers(-1, 2, (3, 120)), rng.integers(-9, 9, 3), 1)
    model = IntegerModel(Quantizer((64, 1, 1), [3], 0, 7), (unrolled, folded), output)
    folder = tmp_path_factory.mktemp("refined") / "hw"
    export(model, folder, target_cycles=2000)
    return read_netlist(folder, whole=True), mapped_module(folder)


def wrong(netlist, module):
    """The parts that are not shown to be the same."""
    refinement = Refinement(netlist, module)
    found = []
    for part in refinement.parts:
        try:
            refinement.show(part)
        except Refuted:
            found.append(part)
    return found


def by_another_solver(graph, claim):
    """Whether a claim holds, from its own clauses, without sweeping."""
    clauses, pending, seen = [[-1]], [claim >> 1], {0}
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        if (fanins := graph.fanins[node]) is not None:
            a, b = (one // 2 + 1 if one % 2 == 0 else -(one // 2 + 1) for one in fanins)
            clauses += [[-node - 1, a], [-node - 1, b], [node + 1, -a, -b]]
            pending += [one >> 1 for one in fanins]
    with Cadical153(bootstrap_with=[*clauses, [claim // 2 + 1 if claim % 2 == 0 else -(claim // 2 + 1)]]) as solver:
        return not solver.solve()


def test_all_of_a_network_is_shown_and_another_solver_agrees(healthy):
    netlist, module = healthy
    kinds = {cell["type"] for cell in module["cells"].values()}
    assert {"LUT6", "CARRY4", "SRL16E", "RAM32M", "RAMB18E1", "FDRE"} <= kinds
    assert wrong(netlist, module) == []
    refinement = Refinement(netlist, module)
    assert refinement.lost == []
    for points in refinement.parts.values():
        for point in points:
            assert all(by_another_solver(refinement.graph, claim) for claim in point.claims), point.name


def cells(module, kind):
    return sorted(name for name, cell in module["cells"].items() if cell["type"] == kind)


def flip(word, place):
    return word[:place] + ("1" if word[place] == "0" else "0") + word[place + 1 :]


def table_bit(module, rng):
    """A bit of a table between registers: all its inputs are free of each other, so it shows."""
    pins = {name: cell["connections"] for name, cell in module["cells"].items()}
    held = {pin["Q"][0] for name, pin in pins.items() if module["cells"][name]["type"] == "FDRE"}
    taken = {pin["D"][0] for name, pin in pins.items() if module["cells"][name]["type"] == "FDRE"}
    between = [
        name
        for name, pin in pins.items()
        if module["cells"][name]["type"].startswith("LUT")
        and pin["O"][0] in taken
        and all(bits[0] in held for key, bits in pin.items() if key != "O")
    ]
    parameters = module["cells"][rng.choice(sorted(between))]["parameters"]
    parameters["INIT"] = flip(parameters["INIT"], rng.randrange(len(parameters["INIT"])))


def swapped_inputs(module, rng):
    one, other = (module["cells"][name]["connections"] for name in rng.sample(cells(module, "FDRE"), 2))
    one["D"], other["D"] = other["D"], one["D"]


def reset_value(module, rng):
    resets = [name for name in cells(module, "FDRE") if module["cells"][name]["connections"]["R"] != ["0"]]
    cell = module["cells"][rng.choice(resets)]
    cell["type"], cell["connections"]["S"] = "FDSE", cell["connections"].pop("R")
    cell["port_directions"]["S"] = cell["port_directions"].pop("R")


def never_enabled(module, rng):
    enabled = [name for name in cells(module, "FDRE") if module["cells"][name]["connections"]["CE"] != ["1"]]
    module["cells"][rng.choice(enabled)]["connections"]["CE"] = ["0"]


def inverted_output(module, rng):
    """An output that is a register as well: the register stays right."""
    pins = module["cells"]["$iopadmap$bnn_top.frame_error"]["connections"]
    module["cells"]["not"] = {
        "type": "INV",
        "parameters": {},
        "connections": {"I": pins["I"], "O": [10**6 + rng.randrange(10**6)]},
        "port_directions": {"I": "input", "O": "output"},
    }
    pins["I"] = module["cells"]["not"]["connections"]["O"]


def memory_constant(module, rng):
    """A bit of the words that a block memory of constants has: of the first 1,024, for its address counts to 1,920."""
    parameters = module["cells"][cells(module, "RAMB18E1")[0]]["parameters"]
    known = [(row, place) for row in range(8) for place, bit in enumerate(parameters[f"INIT_0{row}"]) if bit != "x"]
    row, place = rng.choice(known)
    parameters[f"INIT_0{row}"] = flip(parameters[f"INIT_0{row}"], place)


def memory_address(module, rng):
    pins = module["cells"][cells(module, "RAMB18E1")[0]]["connections"]
    used = [place for place, bit in enumerate(pins["ADDRARDADDR"]) if isinstance(bit, int)]
    one, other = rng.sample(used, 2)
    address = pins["ADDRARDADDR"]
    address[one], address[other] = address[other], address[one]


def written_always(module, rng):
    module["cells"][rng.choice(cells(module, "RAM32M"))]["connections"]["WE"] = ["1"]


def written_elsewhere(module, rng):
    pins = module["cells"][rng.choice(cells(module, "RAM32M"))]["connections"]
    pins["ADDRD"] = [pins["ADDRA"][0], *pins["ADDRD"][1:]]


def swapped_lanes(module, rng):
    pins = module["cells"][rng.choice(cells(module, "RAM32M"))]["connections"]
    pins["DIB"], pins["DIC"] = pins["DIC"], pins["DIB"]


def shorter_shift(module, rng):
    pins = module["cells"][rng.choice(cells(module, "SRL16E"))]["connections"]
    pins["A1"] = ["0"] if pins["A1"] == ["1"] else ["1"]


def carry_in(module, rng):
    begun = [
        name
        for name in cells(module, "CARRY4")
        if name.endswith("slice[0].genblk1.carry4") and "scores" in module["cells"][name]["attributes"].get("src", "")
    ]
    pins = module["cells"][rng.choice(begun)]["connections"]
    pins["CYINIT"] = ["1"] if pins["CYINIT"] == ["0"] else ["0"]


MUTANTS = [table_bit, swapped_inputs, reset_value, never_enabled, inverted_output]
MUTANTS += [memory_constant, memory_address]
MUTANTS += [written_always, written_elsewhere, swapped_lanes, shorter_shift, carry_in]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("change", MUTANTS)
def test_every_mutant_of_a_cell_is_refuted(healthy, change, seed):
    netlist, module = healthy
    mutant = copy.deepcopy(module)
    change(mutant, random.Random(seed))
    assert mutant != module
    assert wrong(netlist, mutant) != []


@pytest.mark.parametrize("kind", ["MUXF7", "MUXF8"])
def test_a_multiplexer_gives_its_second_input_where_it_is_selected(kind):
    pins = {"I0": [10], "I1": [11], "S": [12], "O": [13]}
    ways = {pin: "output" if pin == "O" else "input" for pin in pins}
    module = {
        "netnames": {},
        "cells": {"mux": {"type": kind, "parameters": {}, "connections": pins, "port_directions": ways}},
    }
    for first, second, selected in itertools.product((FALSE, FALSE ^ 1), repeat=3):
        mapped = Mapped(module, Graph(), {10: first, 11: second, 12: selected}, 2)
        assert mapped.literal(13) == (first if selected == FALSE else second)


def test_what_is_not_understood_is_refused(healthy):
    netlist, module = healthy
    for pin, net, word in (("C", module["ports"]["rst"]["bits"][0], "another clock"), ("type", "FDCE", "FDCE")):
        mutant = copy.deepcopy(module)
        cell = mutant["cells"][cells(mutant, "FDRE")[0]]
        if pin == "type":
            cell["type"] = net
        else:
            cell["connections"][pin] = [net]
        with pytest.raises(Refuted, match=word):
            Refinement(netlist, mutant)


def test_the_netlist_is_among_the_obligations(tmp_path):
    export(random_model(np.random.default_rng(5), hidden=1), tmp_path / "hw")
    shown = prove_equivalence(tmp_path / "hw", netlist=True)
    assert [one.part for one in shown if not one.holds] == []
    assert {"quantize", "netlist", "netlist of bnn_top", "netlist of layer0"} <= {one.part for one in shown}


@pytest.mark.parametrize("seed", range(20))
def test_sweeping_decides_as_brute_force_does(seed):
    """Random logic over 8 variables, with sums in it that are made in two ways."""
    rng = random.Random(seed)
    graph = Graph()
    variables = [graph.variable() for _ in range(8)]
    literals = list(variables)
    for _ in range(60):
        a, b, c = (rng.choice(literals) ^ rng.getrandbits(1) for _ in range(3))
        literals.append(rng.choice([graph.both(a, b), graph.either(a, b), graph.choose(a, b, c), graph.differ(a, b)]))
    orders = [variables, rng.sample(variables, 8)]
    totals = [parity(graph, order) for order in orders]
    claims = [graph.differ(*totals), graph.differ(totals[0], literals[-1])]
    claims += [graph.differ(*rng.sample(literals, 2)) for _ in range(20)] + [graph.both(*rng.sample(literals, 2))]
    cases = 1 << 8
    values = [0] * len(graph.fanins)
    for node, fanins in enumerate(graph.fanins):
        if node and fanins is None:
            values[node] = sum((case >> (node - 1) & 1) << case for case in range(cases))
        elif fanins is not None:
            a, b = (values[one >> 1] ^ (-(one & 1) & (1 << cases) - 1) for one in fanins)
            values[node] = a & b
    sweeper = Sweeper(graph)
    for claim in claims:
        never = values[claim >> 1] == (0 if claim % 2 == 0 else (1 << cases) - 1)
        assert decide(sweeper, claim) in (("structure", "sweeping") if never else ("refuted",))


def parity(graph, order):
    literal = FALSE
    for one in order:
        literal = graph.differ(literal, one)
    return literal
