"""A comparison of 32-bit numbers, shown by our own solver: gates become clauses, the claim linear constraints."""

from __future__ import annotations

from bnnhw.hw_export.netlist import Bit, Netlist, Refuted
from bnnhw.hw_export.parts.part import Part
from bnnhw.verify import Solver

BITS = 4
"""How many bits of the numbers a linear constraint compares: few, because its weights double with each."""


def greater(part: Part) -> None:
    """`better` is score > best_score for all pairs of signed 32-bit numbers."""
    solver = Solver()
    literals: dict[Bit, int] = {"0": -(true := solver.new_variables(1)), "1": true}
    solver.add_clause([true])
    ours, best = ([_free(solver, literals, bit) for bit in part.word(name)] for name in ("score", "best_score"))
    (better,) = part.word("better")
    found = _clauses(part.netlist, solver, literals, better)
    # From the lowest bits up: greater so far, if greater in these bits, or not less in them and greater below.
    wanted = -true
    for low in range(0, 32, BITS):
        weights = [1 << i for i in range(BITS)]
        weights[-1] *= -1 if low + BITS == 32 else 1
        operands, signed = [*ours[low : low + BITS], *best[low : low + BITS]], [*weights, *(-w for w in weights)]
        above, not_below = solver.new_variables(1), solver.new_variables(1)
        solver.add_at_least(above, operands, 1, signed)
        solver.add_at_least(not_below, operands, 0, signed)
        below, wanted = wanted, solver.new_variables(1)
        solver.add_at_least(wanted, [above, not_below, below], 2, [2, 1, 1])
    solver.add_clause([found, wanted])
    solver.add_clause([-found, -wanted])
    if solver.solve().status != "unsat":
        raise Refuted(f"{part.prefix}.better is not score > best_score")
    part.tally[0] += 1


def _free(solver: Solver, literals: dict[Bit, int], bit: Bit) -> int:
    if bit not in literals:
        literals[bit] = solver.new_variables(1)
    return literals[bit]


def _clauses(netlist: Netlist, solver: Solver, literals: dict[Bit, int], bit: Bit) -> int:
    """The literal of a net, with its gates as clauses; nets without a gate are free."""
    pending = [bit]
    while pending:
        if (top := pending[-1]) in literals:
            pending.pop()
        elif top not in netlist.gates:
            literals[top] = solver.new_variables(1)
        elif missing := [one for one in netlist.gates[top][1] if one not in literals]:
            pending += missing
        else:
            kind, inputs = netlist.gates[top]
            literals[top] = _gate_clauses(solver, kind, [literals[one] for one in inputs])
    return literals[bit]


def _gate_clauses(solver: Solver, kind: str, x: list[int]) -> int:
    if kind == "$_NOT_":
        return -x[0]
    y = solver.new_variables(1)
    a, b = x[:2]
    if kind == "$_OR_":
        a, b, y = -a, -b, -y
    if kind in ("$_AND_", "$_OR_"):
        clauses = [[-y, a], [-y, b], [y, -a, -b]]
        y = -y if kind == "$_OR_" else y
    elif kind == "$_XOR_":
        clauses = [[-y, a, b], [-y, -a, -b], [y, -a, b], [y, a, -b]]
    else:
        s = x[2]
        clauses = [[s, -y, a], [s, y, -a], [-s, -y, b], [-s, y, -b]]
    for clause in clauses:
        solver.add_clause(clause)
    return y
