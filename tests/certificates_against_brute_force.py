"""Does the checker accept a "robust" that brute force contradicts? Random small networks, every image of every region.

    python tests/certificates_against_brute_force.py --networks 5000

The tests run a few hundred. Every question is put to the checker with the solver's proof, if there is one, with each
proof that was accepted for an earlier question about the same networks, with one that says nothing, and with
one that tries every way to meet the budget. What it accepts
has to be true of all images of the region; the solver's proofs and counterexamples have to be accepted.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
from brute_force import inside, violated
from certified import ENUMERATION, SEARCH, Pieces
from random_questions import random_questions

from bnnhw.model import encode
from bnnhw.verify import _checker, certificate, check


def accepts(networks: list[_checker.Network], question: _checker.Question, proof: bytes) -> bool:
    try:
        _checker.check_robust(networks, question, proof)
    except ValueError:
        return False
    return True


def campaign(networks: int, first: int = 0) -> Counter[str]:
    """Questions until so many networks have been asked about, seed by seed; AssertionError at the first contradiction.

    Returns how many networks, questions, truly robust ones, proofs that were tried and proofs that were accepted.
    """
    seen: Counter[str] = Counter()
    seed = first
    while seen["networks"] < networks:
        asked: dict[str, _checker.Network] = {}
        accepted: list[bytes] = []
        for table, question, _ in random_questions(np.random.default_rng(seed), 4):
            for network in table.networks:
                asked.setdefault(network.digest, _checker.Network(encode(network.model)))
            readers = [asked[network.digest] for network in table.networks]
            stated = certificate.for_checker(certificate.stated(question))
            wrong = violated(question.condition, table.traces) & inside(question.region, table.images)
            log = Pieces()
            verdict = check(table.networks, question, plan=[SEARCH, ENUMERATION][seed % 2], proof=log)
            where = f"seed {seed}, {question.condition}"
            for proof in dict.fromkeys([log.proof, b"q", b"n\0q", *accepted]):
                holds = accepts(readers, stated, proof)
                assert not (holds and wrong.any()), f"{where}: accepted as robust, and it is not"
                assert holds or proof != log.proof or verdict.status != "robust", f"{where}: a proof is refused"
                seen["proofs tried"] += 1
                seen["proofs accepted"] += holds
            if verdict.status == "robust":
                accepted.append(log.proof)
            else:
                assert verdict.counterexample is not None
                _checker.check_falsified(readers, stated, verdict.counterexample.image.ravel().tolist())
            seen["questions"] += 1
            seen["robust"] += not wrong.any()
        seen["networks"] += len(asked)
        seed += 1
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="where the seeds start")
    arguments = parser.parse_args()
    seen = campaign(arguments.networks, arguments.first)
    print(", ".join(f"{count} {what}" for what, count in seen.items()) + "; brute force contradicts none")


if __name__ == "__main__":
    main()
