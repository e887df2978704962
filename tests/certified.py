"""Certificates of random formulas and random questions, for what is made of certificates."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from random_formulas import layered_formula, random_formula
from random_questions import random_questions

from bnnhw.model import encode
from bnnhw.verify import Plan, Solver, certificate, check, formula
from bnnhw.verify.certificate import Certificate, Known, ProofLog

SEARCH, ENUMERATION = Plan(0, 300, 0), Plan(1e8, 0, 0)
"""Proofs by the solver alone, and by trying every image of a budget first."""


class Pieces:
    """A proof in memory."""

    def __init__(self) -> None:
        self.proof = b""

    def write(self, piece: bytes) -> None:
        """Take the next piece."""
        self.proof += piece


def formula_certificates(seeds: Any, path: Path) -> Iterator[tuple[bytes, Certificate, Known]]:
    """(text, certificate, what it is about) of the formulas without a model."""
    for seed in seeds:
        rng = random.Random(seed)
        text = formula.serialize(layered_formula(rng) if seed % 2 else random_formula(rng)).encode()
        with ProofLog() as log:
            solver = Solver(0)
            solver.log_proof(log.write)
            solver.read_knf(text)
            if solver.solve().status != "unsat":
                continue
            solver.finish_proof()
            certificate.write_of_formula(path, text, 0, {}, log)
        yield text, certificate.read(path), certificate.know(formulas=[text])


def question_certificates(
    seeds: Any, path: Path, per_seed: int = 1, plan: Plan = SEARCH
) -> Iterator[tuple[list[Any], Certificate, Known]]:
    """(models, certificate, what it is about) of the questions whose answer is robust."""
    for seed in seeds:
        for table, question, _ in random_questions(np.random.default_rng(seed), per_seed):
            with ProofLog() as log:
                verdict = check(table.networks, question, plan=plan, proof=log)
                if verdict.status != "robust":
                    continue
                certificate.write(path, table.networks, question, verdict, 0, log)
            models = [network.model for network in table.networks]
            yield models, certificate.read(path), certificate.know([encode(model) for model in models])
