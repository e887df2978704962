"""A small checker of VeriPB 2.0 proofs, for what the exporter writes: `pol`, `rup`, `del id` and the conclusion.

Plain Python over exact integers, written from the format's description and sharing nothing with the exporter. An
inequality is a dict of weights by literal, +v or -v, all positive, and a degree. It stands in for VeriPB where that is
not installed; it is no substitute for it.
"""

from __future__ import annotations

import re

Sum = tuple[dict[int, int], int]


class RefusedError(Exception):
    """The proof does not show it; the message says which line does not follow."""


def _literal(word: str) -> int:
    if not re.fullmatch(r"~?x[1-9][0-9]*", word):
        raise RefusedError(f"{word!r} is no literal")
    return -int(word[2:]) if word[0] == "~" else int(word[1:])


def _normal(terms: list[tuple[int, int]], degree: int) -> Sum:
    by_variable: dict[int, int] = {}
    for literal, weight in terms:
        if literal < 0:
            degree -= weight
            weight = -weight
        by_variable[abs(literal)] = by_variable.get(abs(literal), 0) + weight
    weights = {variable if w > 0 else -variable: abs(w) for variable, w in by_variable.items() if w}
    return weights, degree + sum(weight for literal, weight in weights.items() if literal < 0)


def _inequality(words: list[str]) -> Sum:
    if len(words) < 3 or words[-3] != ">=" or words[-1] != ";" or len(words) % 2 == 0:
        raise RefusedError(f"{' '.join(words)!r} is no inequality")
    terms = [(_literal(name), int(weight)) for weight, name in zip(words[:-3:2], words[1:-3:2], strict=True)]
    return _normal(terms, int(words[-2]))


def read_opb(text: str) -> list[Sum]:
    """The inequalities of an OPB file whose first line declares how many there are."""
    first, *lines = text.splitlines()
    declared = re.fullmatch(r"\* #variable= ([0-9]+) #constraint= ([0-9]+)", first)
    if declared is None or int(declared[2]) != len(lines):
        raise RefusedError("the first line declares another number of constraints")
    made = [_inequality(line.split()) for line in lines]
    if any(abs(literal) > int(declared[1]) for weights, _ in made for literal in weights):
        raise RefusedError("a variable beyond the declared")
    return made


def _refuted(database: list[Sum | None], negated: Sum) -> bool:
    """Does unit propagation over all of them end in a conflict?"""
    true: set[int] = set()
    changed = True
    while changed:
        changed = False
        for one in [negated, *database]:
            if one is None:
                continue
            weights, degree = one
            slack = sum(weight for literal, weight in weights.items() if -literal not in true) - degree
            if slack < 0:
                return True
            for literal, weight in weights.items():
                if weight > slack and literal not in true and -literal not in true:
                    true.add(literal)
                    changed = True
    return False


def _polish(words: list[str], database: list[Sum | None]) -> Sum:
    stack: list[Sum | int] = []

    def inequality() -> Sum:
        top = stack.pop()
        found = database[top - 1] if isinstance(top, int) and 0 < top <= len(database) else top
        if isinstance(found, int) or found is None:
            raise RefusedError(f"there is no inequality {top}")
        return found

    for word in words:
        if word == "+":
            (one, more), (other, degree) = inequality(), inequality()
            stack.append(_normal([*one.items(), *other.items()], more + degree))
        elif word in ("*", "d"):
            number = stack.pop()
            weights, degree = inequality()
            if not isinstance(number, int) or number < 1:
                raise RefusedError(f"{word} by {number}")
            scale = (lambda w, n=number: w * n) if word == "*" else (lambda w, n=number: -(-w // n))
            stack.append(({literal: scale(weight) for literal, weight in weights.items()}, scale(degree)))
        elif word == "s":
            weights, degree = inequality()
            stack.append(({literal: min(weight, degree) for literal, weight in weights.items()}, degree))
        elif word == "w":
            variable = stack.pop()
            weights, degree = inequality()
            if not isinstance(variable, tuple):
                raise RefusedError("w of no variable")
            (name,) = variable[0]
            granted = weights.get(name, 0) + weights.get(-name, 0)
            stack.append(({one: w for one, w in weights.items() if abs(one) != name}, degree - granted))
        elif word[0] in "~x":
            stack.append(({_literal(word): 1}, 0))
        else:
            stack.append(int(word))
    made = inequality()
    if stack:
        raise RefusedError("a pol step that leaves more than one inequality")
    return made


def check(formula: str, proof: str) -> int:
    """RefusedError unless the proof derives a contradiction from the OPB text; the number of steps checked."""
    database: list[Sum | None] = [*read_opb(formula)]
    lines = proof.splitlines()
    if lines[:2] != ["pseudo-Boolean proof version 2.0", f"f {len(database)}"]:
        raise RefusedError("the proof's head")
    if len(lines) < 5 or lines[-3] != "output NONE" or lines[-1] != "end pseudo-Boolean proof":
        raise RefusedError("the proof's end")
    for number, line in enumerate(lines[2:-3], start=3):
        rule, *words = line.split()
        try:
            if rule == "pol":
                database.append(_polish(words, database))
            elif rule == "rup":
                weights, degree = _inequality(words)
                total = sum(weights.values())
                negated = ({-literal: weight for literal, weight in weights.items()}, total - degree + 1)
                if not _refuted(database, negated):
                    raise RefusedError("does not follow by propagation")
                database.append((weights, degree))
            elif rule == "del" and words[0] == "id":
                for word in words[1:]:
                    database[int(word) - 1] = None
            else:
                raise RefusedError("an unknown rule")
        except (RefusedError, ValueError, IndexError) as error:
            raise RefusedError(f"line {number}, {line!r}: {error}") from None
    concluded = re.fullmatch(r"conclusion UNSAT : ([1-9][0-9]*)", lines[-2])
    last = database[int(concluded[1]) - 1] if concluded and int(concluded[1]) <= len(database) else None
    if last is None or sum(last[0].values()) >= last[1]:
        raise RefusedError("the conclusion names no contradiction")
    return len(lines) - 5
