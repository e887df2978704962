"""What the runs say: one CSV line each, a table of ratios to our solver, a cactus plot, and the machine."""

from __future__ import annotations

import csv
import importlib.util
import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import geometric_mean

from measure import Run
from peers import Peer

OURS = "bnnhw"
SHORTEST = 1e-4
"""Seconds; what took less counts as this much, so that ratios do not compare clock ticks."""

MEDIUM, HARD = 0.1, 5.0
"""Seconds of the other solver from which an unsatisfiable query is no longer easy, and from which it is hard."""


@dataclass(frozen=True)
class Record:
    """One run of one solver on one query."""

    group: str
    query: str
    peer: str
    seed: int
    run: Run


COLUMNS = ["set", "query", "solver", "seed", "answer", "lower", "upper", "load_s", "solve_s", "conflicts", "detail"]


def csv_line(record: Record) -> list[object]:
    """The cells of COLUMNS."""
    run, answer = record.run, record.run.answer
    seconds = [f"{run.load:.6f}", f"{run.solve:.6f}"]
    cells = [answer.status, answer.lower, answer.upper, *seconds, answer.conflicts, answer.detail]
    return [record.group, record.query, record.peer, record.seed, *cells]


def write_csv(records: Iterable[Record], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(csv_line(record) for record in records)


@dataclass(frozen=True)
class _Summary:
    """A solver's runs on one query: geometric means over seeds; `ended` if a run reached the limit."""

    solve: float
    whole: float
    ended: bool


def _summarize(records: Sequence[Record]) -> dict[str, dict[str, _Summary]]:
    """By solver and query."""
    runs: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for record in records:
        runs[record.peer, record.query].append(record.run)
    summaries: dict[str, dict[str, _Summary]] = defaultdict(dict)
    for (peer, query), own in runs.items():
        solve = geometric_mean(max(SHORTEST, run.solve) for run in own)
        whole = geometric_mean(max(SHORTEST, run.load + run.solve) for run in own)
        ended = any(run.answer.status == "UNKNOWN" for run in own)
        summaries[peer][query] = _Summary(solve, whole, ended)
    _add_better_minisatcs(summaries)
    return summaries


def _add_better_minisatcs(summaries: dict[str, dict[str, _Summary]]) -> None:
    """The baseline: on each query the better of MiniSatCS's two sets of options."""
    both = [own for peer, own in summaries.items() if peer.startswith("minisatcs")]
    if len(both) == 2:
        shared = both[0].keys() & both[1].keys()
        best = {query: min((own[query] for own in both), key=lambda summary: summary.solve) for query in shared}
        summaries["minisatcs, the better"] = best


def ratio_table(records: Sequence[Record]) -> str:
    """Markdown: how many times as long as ours each solver takes, geometric means, by set and kind of query."""
    lines: list[str] = []
    for group in dict.fromkeys(record.group for record in records):
        own = [record for record in records if record.group == group]
        answers = {r.query: r.run.answer.status for r in own if r.run.answer.status != "UNKNOWN"}
        summaries = _summarize(own)
        ours = summaries[OURS]
        decided = sum(not summary.ended for summary in ours.values())
        lines += [f"### {group}: {len(ours)} queries, {decided} decided by {OURS}", ""]
        lines.append(
            f"| solver | decided | UNSAT, {MEDIUM}-{HARD:g} s | UNSAT, over {HARD:g} s | SAT | OPTIMUM "
            f"| UNSAT, under {MEDIUM} s, with loading | all, with loading |"
        )
        lines.append("|---|---|---|---|---|---|---|---|")
        for peer, theirs in summaries.items():
            if peer == OURS:
                continue
            cells: dict[str, list[tuple[_Summary, _Summary]]] = defaultdict(list)
            for query, summary in theirs.items():
                if not (summary.ended and ours[query].ended) and query in answers:
                    cells[_kind(answers[query], summary)].append((summary, ours[query]))
            count = sum(not summary.ended for summary in theirs.values())
            row = [_cell(cells[kind], kind == "easy") for kind in ("medium", "hard", "SAT", "OPTIMUM", "easy")]
            row.append(_cell([pair for pairs in cells.values() for pair in pairs], True))
            lines.append(f"| {peer} | {count} of {len(theirs)} | {' | '.join(row)} |")
        lines.append("")
    lines.append(
        f"Geometric means of CPU time, other solver / {OURS}; in brackets the number of queries, and of those that one "
        "side did not decide within the limit and that count with the limit. Classes by the other solver's time. A "
        f"time under {SHORTEST * 1e3:g} ms counts as that. Loading is from a plain text file (or, for libraries, from "
        "the parsed constraints), and encoding is part of it."
    )
    return "\n".join(lines) + "\n"


def _kind(answer: str, summary: _Summary) -> str:
    if answer != "UNSAT":
        return answer
    return "easy" if summary.solve < MEDIUM else "medium" if summary.solve <= HARD else "hard"


def _cell(pairs: Sequence[tuple[_Summary, _Summary]], whole: bool) -> str:
    if not pairs:
        return "-"
    ratio = geometric_mean(a.whole / b.whole if whole else a.solve / b.solve for a, b in pairs)
    theirs, ours = sum(a.ended for a, _ in pairs), sum(b.ended for _, b in pairs)
    ended = (f", {theirs} not decided" if theirs else "") + (f", {ours} not by {OURS}" if ours else "")
    return f"{ratio:.2f} ({len(pairs)}{ended})"


def machine(peers: Sequence[Peer], load_at_start: tuple[float, float, float]) -> str:
    """Processor, cores, load and versions, in one paragraph."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor() or platform.machine()
    versions = ", ".join(f"{peer.name} {peer.version}" for peer in peers)
    loads = f"{load_at_start[0]:.2f} at the start, {os.getloadavg()[0]:.2f} at the end"
    return (
        f"{processor}, {os.cpu_count()} cores, load average {loads}; {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}; {versions}; one thread each."
    )


def cactus_plot(records: Sequence[Record], path: Path) -> bool:
    """Queries decided within t seconds, first seed; False, and no file, without matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        return False
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for peer in dict.fromkeys(record.peer for record in records):
        own = [r.run for r in records if r.peer == peer and r.seed == 0 and r.run.answer.status != "UNKNOWN"]
        times = sorted(max(SHORTEST, run.solve) for run in own)
        axes.plot(times, range(1, len(times) + 1), drawstyle="steps-post", label=peer)
    axes.set_xscale("log")
    axes.set_xlabel("CPU seconds of solving")
    axes.set_ylabel("queries decided")
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
    return True
