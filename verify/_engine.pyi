from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

class Outcome:
    """What a stage answers. image: the counterexample's pixels, if there is one; statistics: counts by name."""

    @property
    def status(self) -> str:
        """enumerate, attack: 'complete', 'found', 'stopped' or 'declined'. solve: 'sat', 'unsat' or 'unknown'."""
    @property
    def reason(self) -> str:
        """Why solve is 'unknown': 'time', 'conflicts', 'memory' or 'interrupted'; else empty."""
    @property
    def image(self) -> list[int] | None: ...
    @property
    def statistics(self) -> dict[str, float]: ...
    @property
    def failed(self) -> list[int]:
        """Of 'unsat' under assumptions: those that cannot hold together; none if the goal is out of reach anyway."""

class Network:
    """A network whose hidden bits are ``A @ a >= threshold``; layers are added in order, the output last.

    thresholds: int32, the quantizer's ``levels`` ascending thresholds, once or once per pixel. Matrices come in
    compressed sparse rows: row_begin int64[rows + 1], column_index int32, weight int8. ValueError where parts misfit.
    """

    def __init__(
        self, pixels: int, levels: int, thresholds: npt.NDArray[np.int32], shift: int, bias: npt.NDArray[np.int64]
    ) -> None: ...
    def add_layer(
        self,
        rows: int,
        row_begin: npt.NDArray[np.int64],
        column_index: npt.NDArray[np.int32],
        weight: npt.NDArray[np.int8],
        threshold: npt.NDArray[np.int32],
    ) -> None: ...
    def set_output(
        self,
        rows: int,
        row_begin: npt.NDArray[np.int64],
        column_index: npt.NDArray[np.int32],
        weight: npt.NDArray[np.int8],
    ) -> None: ...

class Query:
    """One question about one image: can the goal be reached inside the box, within the budget if there is one?

    image, low, high: int32[pixels], low <= image <= high. goal: 'misclassified' (not ``label``; with ties_win also
    where another class only equals it), 'targeted' (``target``), 'unanimous' (all networks the same class, not
    ``label``), 'differ' (two networks, two classes). norm 'l0', 'l1' or 'l2_squared' with limit and per-pixel weight.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        image: npt.NDArray[np.int32],
        low: npt.NDArray[np.int32],
        high: npt.NDArray[np.int32],
        goal: Literal["misclassified", "targeted", "unanimous", "differ"],
        label: int,
        target: int = 0,
        ties_win: bool = False,
        norm: Literal["l0", "l1", "l2_squared"] | None = None,
        limit: int = 0,
        weight: npt.NDArray[np.int64] | None = None,
    ) -> None: ...
    @property
    def predicted(self) -> list[int]:
        """Each network's class of the image itself."""
    @property
    def clean_reaches(self) -> bool:
        """Does the image itself reach the goal?"""
    def log_proof(self, write: Callable[[bytes], object]) -> None:
        """Hand the proof of a robust answer to ``write``, piece by piece; comes before bound()."""
    def finish_proof(self) -> None:
        """After a robust answer of bound() or solve() without assumptions: hand over what is left of its proof."""
    def bound(self, record: bool = False) -> bool:
        """Interval bounds; true where they exclude the goal. Comes before everything below."""
    @property
    def decisions(self) -> npt.NDArray[np.int64]:
        """After bound(record=True), a row per bit that the bounds decided although its inputs can change.

        Columns: network, layer, neuron, bit, numerator, denominator, slack. Such a bit keeps its value because its
        constraint plus numerator / denominator times the budget's keeps the accumulator ``slack`` away from flipping
        it. Rows are by network and layer, so that each follows from those before.
        """
    @property
    def score_bounds(self) -> npt.NDArray[np.int64]:
        """After bound(record=True), the score differences that speak against the goal; a true bound() rests on them.

        Columns: network, winner, loser, most. The output accumulator of ``winner`` is nowhere more than ``most`` above
        that of ``loser``, too little to rank above it.
        """
    @property
    def free_steps(self) -> int:
        """How many (pixel, threshold) pairs the region can pass."""
    @property
    def undecided(self) -> list[list[int]]:
        """Undecided bits per network and hidden layer."""
    @property
    def undecided_bits(self) -> list[list[list[int]]]:
        """Which bits: ascending indices per network and hidden layer."""
    def enumerate(self, most_subsets: float, seconds: float | None = None) -> Outcome:
        """Every image of a small budget; 'declined' where that would be more than most_subsets subsets."""
    def attack(self, seed: int, most_evaluations: int, seconds: float | None = None) -> Outcome:
        """Local search; 'complete' says only that it ended without a counterexample."""
    def encode(self, seed: int = 0) -> None: ...
    def solve(
        self,
        conflict_limit: int | None = None,
        time_limit: float | None = None,
        memory_limit: int | None = None,
        assumptions: Sequence[int] = (),
    ) -> Outcome:
        """Decides what encode() wrote; after 'unknown' it may be called again to go on.

        assumptions: literals, +v or -v, of the solver's variables; the same question is always encoded with the same
        numbers. What was learned under them serves later calls.
        """
    def busiest(self, count: int) -> list[int]:
        """At most ``count`` of the open variables that recent conflicts are about, the busiest first."""
