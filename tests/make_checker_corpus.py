"""Writes the seeds that the fuzzing harnesses start from: small models, formulas and questions with their real proofs.

    python tests/make_checker_corpus.py

Every norm, condition, kind of layer and kind of proof step occurs. The seeds lie in the repository, so that the
harnesses run without Python; run this again after a change of a format.
"""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
from certified import ENUMERATION, SEARCH, Pieces
from random_formulas import layered_formula, random_formula
from random_questions import random_questions

from bnnhw.model import encode
from bnnhw.verify import Plan, Solver, certificate, check, formula

CORPUS = Path(__file__).parents[1] / "verify" / "checker" / "fuzz" / "corpus"
FORMULA_SEEDS = [102, 134, 192, 293, 664, 738, 925, 1313, 1811, 2150, 2193, 2576, 2759]
"""Small refutations with conflicts, and between them every kind of step that proofs about formulas have."""


def joined(*parts: bytes) -> bytes:
    """As sections.hpp takes them apart."""
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def of_formula(seed: int) -> bytes:
    rng = random.Random(seed)
    text = formula.serialize(layered_formula(rng) if seed % 2 else random_formula(rng, 9)).encode()
    solver, log = Solver(seed), Pieces()
    solver.log_proof(log.write)
    solver.read_knf(text)
    if solver.solve().status != "unsat":
        raise SystemExit(f"formula {seed} has a model: choose other seeds")
    solver.finish_proof()
    return joined(text, log.proof)


def numbers(stated: dict[str, Any]) -> bytes:
    """As fuzz_question.cpp reads a question."""
    condition, budget = stated["condition"], stated["budget"]
    kind = ["keeps", "avoids", "not_unanimously_wrong", "agree"].index(condition["kind"])
    norm = ["l0", "l1", "l2_squared"].index(budget["norm"]) + 1 if budget else 0
    weight = (budget and budget["weight"]) or []
    label = condition.get("label", condition.get("target", 0))
    flags = int(condition.get("strictly", False)) + 2 * bool(weight)
    head = [kind, norm, flags, label, budget["limit"] if budget else 0]
    return np.array([*head, *stated["image"], *stated["low"], *stated["high"], *weight], "<i2").tobytes()


def of_questions(seed: int, plan: Plan) -> list[tuple[str, bytes, list[bytes]]]:
    found = []
    for table, question, _ in random_questions(np.random.default_rng(seed), 4):
        log = Pieces()
        verdict = check(table.networks, question, plan=plan, proof=log)
        models = [encode(network.model) for network in table.networks]
        if verdict.status != "robust" or len(log.proof) < 4 or len(log.proof) + sum(map(len, models)) > 6000:
            continue
        stated = certificate.stated(question)
        budget = stated["budget"]
        kind = f"{stated['condition']['kind']}-{budget['norm'] if budget else 'box'}"
        if verdict.stage == "enumeration":
            kind += "-enumeration"
        elif plan is ENUMERATION:
            continue
        found.append((kind, joined(numbers(stated), log.proof, *models), models))
    return found


def write(folder: str, name: str, data: bytes) -> None:
    (CORPUS / folder / name).write_bytes(data)


def main() -> None:
    for seed in FORMULA_SEEDS:
        write("formula", str(seed), of_formula(seed))
    kinds: dict[str, bytes] = {}
    for seed in range(200):
        for kind, data, models in of_questions(seed, SEARCH):
            if kind not in kinds:
                write("model", kind, models[0])
            kinds.setdefault(kind, data)
        for kind, data, _ in of_questions(seed, ENUMERATION):
            kinds.setdefault(kind, data)
    for kind, data in kinds.items():
        write("question", kind, data)


if __name__ == "__main__":
    main()
