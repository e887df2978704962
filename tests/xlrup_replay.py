"""A small checker of XLRUP proofs, for what the exporter writes: `o b`, `i cb`, hinted unit propagation and deletion.

Plain Python, written from the format's description and sharing nothing with the exporter. It stands in for the verified
checker `cake_xlrup` where that is not installed; it is no substitute for it.
"""

from __future__ import annotations

from collections.abc import Iterable


class RefusedError(Exception):
    """The proof does not show it; the message says which line does not follow."""


BNN = tuple[tuple[int, ...], int, int]
"""Literals, how many of them make the output true, the output."""


def _until_zero(words: list[int]) -> tuple[list[int], list[int]]:
    end = words.index(0)
    return words[:end], words[end + 1 :]


def _bnn(words: list[int]) -> BNN:
    literals, rest = _until_zero(words)
    if len(rest) != 3 or rest[2] != 0 or rest[0] < 0:
        raise RefusedError("a BNN constraint that is none")
    return tuple(literals), rest[0], rest[1]


def read_formula(text: str) -> tuple[dict[int, list[int]], list[BNN]]:
    """Clauses by their numbers, and the BNN constraints."""
    head, *lines = text.splitlines()
    p, cnf, variables, declared = head.split()
    clauses: dict[int, list[int]] = {}
    constraints: list[BNN] = []
    for line in lines:
        words = line.split()
        if words[0] == "b":
            constraints.append(_bnn([int(word) for word in words[1:]]))
        else:
            literals, rest = _until_zero([int(word) for word in words])
            if rest:
                raise RefusedError("a clause goes on behind its 0")
            clauses[len(clauses) + 1] = literals
    used = [abs(one) for clause in clauses.values() for one in clause]
    used += [abs(one) for literals, _, out in constraints for one in (*literals, out)]
    if (p, cnf) != ("p", "cnf") or len(lines) != int(declared) or max(used, default=0) > int(variables):
        raise RefusedError("the formula's head")
    return clauses, constraints


def _implies(constraint: BNN, false: Iterable[int]) -> bool:
    """Can the constraint not hold with these literals false? By counting alone."""
    literals, least, out = constraint
    gone = set(false)
    possible = sum(literal not in gone for literal in literals)
    certain = sum(-literal in gone for literal in literals)
    return (possible < least and -out in gone) or (certain >= least and out in gone)


def check(formula: str, proof: str) -> int:
    """RefusedError unless the proof derives the empty clause from the formula's text; the number of steps checked."""
    clauses, given = read_formula(formula)
    constraints: dict[int, BNN] = {}
    done = False
    lines = proof.splitlines()
    for number, line in enumerate(lines, start=1):
        words = line.split()
        try:
            if words[:2] == ["o", "b"]:
                constraint = _bnn([int(word) for word in words[3:]])
                if constraint not in given:
                    raise RefusedError("the formula has no such constraint")
                constraints[int(words[2])] = constraint
            elif words[:2] == ["i", "cb"]:
                name = int(words[2])
                literals, (place, *rest) = _until_zero([int(word) for word in words[3:] if word != "u"])
                units = [clauses[unit] for unit in _until_zero(rest)[0]]
                if any(len(unit) != 1 for unit in units):
                    raise RefusedError("a unit that is none")
                if not _implies(constraints[place], [*literals, *(-unit[0] for unit in units)]):
                    raise RefusedError("the constraint does not imply the clause")
                clauses[name] = literals
            elif words[1] == "d":
                for word in words[2:-1]:
                    del clauses[int(word)]
            else:
                name, *rest = [int(word) for word in words]
                literals, hints = _until_zero(rest)
                _propagate(literals, [clauses[hint] for hint in _until_zero(hints)[0]])
                clauses[name] = literals
                done = done or not literals
        except (RefusedError, KeyError, ValueError, IndexError) as error:
            raise RefusedError(f"line {number}, {line!r}: {error!r}") from None
    if not done:
        raise RefusedError("the empty clause is not derived")
    return len(lines)


def _propagate(clause: list[int], hints: list[list[int]]) -> None:
    """The clause's literals false, every hint has to be a unit by then, and one to be false."""
    false = set(clause)
    for hint in hints:
        left = {literal for literal in hint if literal not in false}
        if not left:
            return
        if len(left) > 1:
            raise RefusedError("a hint that is neither a unit nor false")
        false.add(-left.pop())
    raise RefusedError("the hints meet no conflict")
