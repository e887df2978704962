"""Our solver beside every other one that is installed, on the same queries in one run, solver after solver per query.

    make binary
    python benchmarks/verify/compare.py --knf FOLDER --opb FOLDER --random gen.py --model MODEL \\
        --binary build/binary/verify/bnnhw-knf --minisatcs BINARY

Sets, each optional: folders of `.knf[.gz]` and of `.opb[.gz]` files, a generator of random networks, and the robustness
queries of a model. Ours is the binary, or without one the library in a fork. Peers: MiniSatCS (a binary given by path,
with its authors' options and with its defaults), CaDiCaL on totalizers (python-sat), CP-SAT (ortools), Exact (exact)
and clasp (on PATH). A satisfiable query is asked again with further seeds, because luck decides it. Every model is
replayed, and answers, also those of a folder's `results.tsv`, must agree: otherwise the run ends with exit status 1 and
names the file. Leaves runs.csv and table.md, renewed after every query, and with matplotlib cactus.png in the folder
given by --out.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from peers import Peer, installed
from queries import Query, from_generator, from_knf_folder, from_model, from_opb_folder
from report import OURS, Record, cactus_plot, machine, ratio_table, write_csv


def main() -> int:
    arguments = parse_arguments()
    peers = installed(arguments.binary, arguments.minisatcs)
    if arguments.solvers:
        unknown = set(arguments.solvers) - {peer.name for peer in peers}
        if unknown:
            print(f"not installed: {', '.join(sorted(unknown))}; there are {', '.join(p.name for p in peers)}")
            return 2
        peers = [peer for peer in peers if peer.name in (OURS, *arguments.solvers)]
    arguments.out.mkdir(parents=True, exist_ok=True)
    load_at_start = os.getloadavg()
    records: list[Record] = []
    for query in queries(arguments):
        if not fnmatch.fnmatch(query.name, arguments.match):
            continue
        with tempfile.TemporaryDirectory() as folder:
            for record in runs(query, peers, Path(folder), arguments.seeds, arguments.time_limit):
                records.append(record)
                show(record)
                wrong = disagreement(query, [r for r in records if (r.group, r.query) == (query.group, query.name)])
                if wrong:
                    print(f"WRONG {query.group}/{query.name}: {wrong}", file=sys.stderr)
                    return 1
        write_csv(records, arguments.out / "runs.csv")
        conditions = f"{machine(peers, load_at_start)} Limit {arguments.time_limit:g} CPU seconds."
        (arguments.out / "table.md").write_text(f"{conditions}\n\n{ratio_table(records)}")
    if not records:
        print("there is nothing to compare: give --knf, --opb, --random or --model with queries in it", file=sys.stderr)
        return 2
    print((arguments.out / "table.md").read_text())
    plotted = cactus_plot(records, arguments.out / "cactus.png")
    print(f"runs.csv, table.md{', cactus.png' if plotted else ''} in {arguments.out}; all answers agree")
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--knf", type=Path, action="append", default=[], help="folder of .knf[.gz]; repeatable")
    parser.add_argument("--opb", type=Path, action="append", default=[], help="folder of .opb[.gz]; repeatable")
    parser.add_argument("--random", type=Path, help="the generator of random networks, a Python script")
    parser.add_argument("--random-seeds", type=int, default=3, help="random networks of each shape (default 3)")
    parser.add_argument("--model", type=Path, help="a .bnn file whose queries are to be asked")
    parser.add_argument("--dataset", default="digits", help="the model's data set (default digits)")
    parser.add_argument("--data", type=Path, help="folder of the data set's files")
    parser.add_argument("--eps", default="0.1", help="radius of the model's queries (default 0.1)")
    parser.add_argument("--count", type=int, default=50, help="test images of the model's queries (default 50)")
    parser.add_argument("--binary", type=Path, help="our solver as `make binary` leaves it, to be timed like others")
    parser.add_argument("--minisatcs", type=Path, help="MiniSatCS's binary")
    parser.add_argument("--solvers", nargs="+", help="only these, besides ours")
    parser.add_argument("--match", default="*", help="only queries whose name matches this pattern")
    parser.add_argument("--time-limit", type=float, default=60.0, help="CPU seconds a query (default 60)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of a satisfiable query (default 3)")
    parser.add_argument("--out", type=Path, default=Path("runs/compare"), help="folder for the results")
    return parser.parse_args()


def queries(arguments: argparse.Namespace) -> Iterator[Query]:
    yield from chain.from_iterable(map(from_knf_folder, arguments.knf))
    if arguments.random is not None:
        yield from from_generator(arguments.random, arguments.random_seeds)
    if arguments.model is not None:
        yield from from_model(arguments.model, arguments.dataset, arguments.data, arguments.eps, arguments.count)
    yield from chain.from_iterable(map(from_opb_folder, arguments.opb))


def runs(query: Query, peers: Sequence[Peer], folder: Path, seeds: int, limit: float) -> Iterator[Record]:
    """Every solver once, then again with further seeds if the query proved satisfiable."""
    satisfiable = False
    for seed in range(seeds):
        if seed > 0 and not satisfiable:
            return
        for peer in peers:
            if peer.takes(query) and (seed == 0 or peer.seeded):
                run = peer.run(query, folder, seed, limit)
                satisfiable = satisfiable or run.answer.status == "SAT"
                yield Record(query.group, query.name, peer.name, seed, run)


def disagreement(query: Query, records: Sequence[Record]) -> str | None:
    """What is wrong with the latest record, alone or beside the others; None if nothing is."""
    latest = records[-1]
    answer = latest.run.answer
    if answer.values is not None:
        violation = query.first_violation(answer.values)
        if violation is not None:
            return f"the model of {latest.peer} is none, {violation}"
    if query.known_answer is not None and answer.status not in ("UNKNOWN", query.known_answer):
        return f"{latest.peer} says {answer.status}, results.tsv {query.known_answer}"
    for earlier in records[:-1]:
        other = earlier.run.answer
        if "UNKNOWN" not in (answer.status, other.status) and answer.status != other.status:
            return f"{latest.peer} says {answer.status}, {earlier.peer} {other.status}"
        for one, two in ((latest, earlier), (earlier, latest)):
            lower, upper = one.run.answer.lower, two.run.answer.upper
            if lower is not None and upper is not None and lower > upper:
                return f"{one.peer} says the optimum is at least {lower}, but {two.peer} found {upper}"
    return None


def show(record: Record) -> None:
    run, answer = record.run, record.run.answer
    bounds = f"{answer.lower}..{answer.upper}" if answer.lower is not None or answer.upper is not None else ""
    print(
        f"{record.query:40} {record.peer:18} {record.seed:2} {answer.status:8} {bounds:10} "
        f"load {run.load:8.4f} solve {run.solve:9.4f} {answer.detail}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
