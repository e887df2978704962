"""What certificates cost: solving without and with a proof, and checking it, in processor seconds of one thread.

Questions of a model (``--model`` with ``--data`` or ``--image``, one region) or formulas without a model (``*.knf``).
Solving is the same call without and with a log, each the better of two runs. Checking is the compiled checker on the
finished proof, which for a formula includes reading it; that of the solver is then counted as well.

    python benchmarks/verify/certificates.py --model MODEL --dataset digits --eps 0.1 --count 200
    python benchmarks/verify/certificates.py --model MODEL --image bnn_NETWORK_INDEX_labelCLASS.png --budget l0=3
    python benchmarks/verify/certificates.py FORMULA.knf.gz ...
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bnnhw import data
from bnnhw.cli.questions import balls
from bnnhw.importers import read_image
from bnnhw.model import encode, load
from bnnhw.verify import Keeps, Limits, Plan, Solver, _checker, build, certificate, check
from bnnhw.verify.certificate import ProofLog
from bnnhw.verify.formula import read_bytes


@dataclass(frozen=True)
class Cost:
    """Of one refutation: seconds without and with a log, and of the check; bytes of the proof as it is kept."""

    name: str
    solve: float
    log: float
    check: float
    size: int


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the better of two runs, and what the second made."""
    seconds = []
    for _ in range(2):
        begun = time.process_time()
        made = call()
        seconds.append(time.process_time() - begun)
    return min(seconds), made


def of_model(arguments: argparse.Namespace) -> Iterator[Cost]:
    model = load(arguments.model)
    network, reader = build(model), _checker.Network(encode(model))
    (asked,) = balls(arguments.eps, arguments.budget, model.quantizer)
    limits, plan = Limits(arguments.time_limit), Plan()
    for name, pixels, label in pictures(arguments):
        question = asked.ball.around(pixels, model.quantizer) & Keeps(label, strictly=bool(arguments.image))
        solve, verdict = timed(lambda asked=question: check(network, asked, limits, plan=plan))
        if verdict.status != "robust":
            continue
        logged, verdict, steps, size = min(
            (prove(lambda log, asked=question: check(network, asked, limits, 0, plan, log)) for _ in range(2)),
            key=lambda run: run[0],
        )
        if verdict.status != "robust":
            raise SystemExit(f"image {name}: {verdict.status} with a log, robust without")
        statement = certificate.for_checker(certificate.stated(question))
        checked, _ = timed(lambda statement=statement, steps=steps: _checker.check_robust([reader], statement, steps))
        yield Cost(name, solve, logged, checked, size)


def pictures(arguments: argparse.Namespace) -> Iterator[tuple[str, np.ndarray, int]]:
    """Name, pixels and label of what is asked about."""
    for path in arguments.image or []:
        image = read_image(path)
        yield path.stem, image.pixels, image.label
    if not arguments.image:
        images = data.load(arguments.dataset, arguments.data)
        for i in range(min(arguments.count, len(images.test_images))):
            yield str(i), images.test_images[i], int(images.test_labels[i])


def of_formulas(arguments: argparse.Namespace) -> Iterator[Cost]:
    for path in arguments.formulas:
        text = read_bytes(path)
        solve, status = timed(lambda text=text: answer(text, arguments.time_limit))
        if status != "unsat":
            continue
        logged, _, steps, size = min(
            (prove(lambda log, text=text: answer(text, log=log)) for _ in range(2)), key=lambda run: run[0]
        )
        checked, _ = timed(lambda text=text, steps=steps: _checker.check_unsatisfiable(text, steps))
        yield Cost(path.name, solve, logged, checked, size)


def prove(decide: Callable[[ProofLog], Any]) -> tuple[float, Any, bytes, int]:
    """Seconds, what was decided, the proof's steps and the bytes that these are kept in."""
    begun = time.process_time()
    with ProofLog() as log:
        made = decide(log)
        manifest = {"proof": log.finish()}
        seconds = time.process_time() - begun
        kept = b"".join(log.pieces())
    return seconds, made, certificate.expanded(certificate.Certificate(manifest, kept)), len(kept)


def answer(text: bytes, seconds: float | None = None, log: ProofLog | None = None) -> str:
    solver = Solver(0)
    if log is not None:
        solver.log_proof(log.write)
    solver.read_knf(text)
    status = solver.solve(time_limit=seconds).status
    if log is not None:
        solver.finish_proof()
    return status


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("formulas", nargs="*", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--image", action="append", type=Path, help="of bnn-verification; ties count as wrong")
    parser.add_argument("--eps", action="append")
    parser.add_argument("--budget", action="append")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--time-limit", type=float, default=60.0)
    parser.add_argument("--above", type=float, default=0.0, help="count only what took so many seconds to solve")
    arguments = parser.parse_args()
    costs = []
    for cost in of_formulas(arguments) if arguments.formulas else of_model(arguments):
        if cost.solve < arguments.above:
            continue
        costs.append(cost)
        if arguments.formulas or arguments.image:
            print(
                f"{cost.name}: {cost.solve:.4f} s, log {cost.log / cost.solve:.2f}, check {cost.check / cost.solve:.2f}"
            )
    table = np.array([(cost.solve, cost.log, cost.check, cost.size) for cost in costs])
    solve, log, checks, size = table.T
    print(
        f"{len(costs)} refutations, every proof accepted; medians {np.median(solve):.5f} s, {np.median(size):.0f} bytes"
    )
    print(f"log over solve: median {np.median(log / solve):.2f}, of the sums {log.sum() / solve.sum():.2f}")
    print(f"check over solve: median {np.median(checks / solve):.2f}, of the sums {checks.sum() / solve.sum():.2f}")


if __name__ == "__main__":
    main()
