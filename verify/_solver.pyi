from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

class Result:
    """What `solve` answers."""

    @property
    def status(self) -> str:
        """'sat', 'unsat' or 'unknown'."""

    @property
    def reason(self) -> str:
        """Why unknown: 'time', 'conflicts', 'memory' or 'interrupted'; otherwise empty."""

class Solver:
    """A CDCL solver over clauses and reified linear constraints; literals are DIMACS numbers.

    Deterministic: the same calls with the same seed take the same path. Misuse raises ValueError and changes nothing.
    """

    def __init__(self, seed: int = 0, probing: bool = True) -> None:
        """`probing` allows failed-literal probing once a query has taken a few hundred conflicts."""

    @property
    def variables(self) -> int:
        """How many variables there are; they are 1, 2, ..., variables."""

    def new_variables(self, count: int) -> int:
        """Make `count` variables and return the number of the first."""

    def add_clause(self, literals: Iterable[int]) -> None:
        """At least one of the literals; no literal at all makes the formula unsatisfiable."""

    def add_clauses(self, flat: npt.NDArray[np.int32]) -> None:
        """Many clauses, each ended by 0, in one contiguous array."""

    def add_at_least(self, out: int, literals: Iterable[int], bound: int, weights: Iterable[int] | None = None) -> None:
        """out <-> sum of weights[i] * [literals[i]] >= bound; `out` 0 asserts the right-hand side.

        Weights are any 32-bit integers whose absolute values add up to at most 2^28; literals may repeat, oppose each
        other or be `out` itself.
        """

    def add_at_least_many(
        self,
        outs: npt.NDArray[np.int32],
        starts: npt.NDArray[np.int64],
        literals: npt.NDArray[np.int32],
        weights: npt.NDArray[np.int32] | None,
        bounds: npt.NDArray[np.int64],
    ) -> None:
        """Many `add_at_least`: constraint i has literals[starts[i]:starts[i + 1]], and weights alike."""

    def read_knf(self, text: bytes) -> None:
        """The formula that the text of a `.knf` file stands for; see `formula` for the format.

        Only a solver without variables takes it; the file's numbers become the solver's. A malformed text raises
        ValueError with the line.
        """

    def log_proof(self, write: Callable[[bytes], object]) -> None:
        """Hand the proof of an answer 'unsat' to `write`, piece by piece; comes before the first variable."""

    def finish_proof(self) -> None:
        """After 'unsat' without assumptions: hand over what is left of the proof."""

    def set_bump_weight(self, variables: Iterable[int], weight: float) -> None:
        """Multiply the activity these variables gain per conflict; 0 < weight <= 1e6, 1 at first."""

    def solve(
        self,
        assumptions: Iterable[int] = (),
        conflict_limit: int | None = None,
        time_limit: float | None = None,
        memory_limit: int | None = None,
    ) -> Result:
        """Is there a model in which the assumptions hold?

        The limits are conflicts of this call, seconds, and bytes held by the solver; reaching one answers 'unknown' and
        the solver stays usable. The GIL is released; Ctrl-C in the main thread raises KeyboardInterrupt.
        """

    def interrupt(self) -> None:
        """From any thread: the running solve, or else the next one, answers 'unknown' for 'interrupted'."""

    def model(self) -> npt.NDArray[np.int8]:
        """After 'sat': 0 or 1 per variable, index 0 unused. ValueError if the last solve did not answer 'sat'."""

    def failed_assumptions(self) -> list[int]:
        """After 'unsat': assumptions that cannot hold together, none if the formula has no model at all."""

    def statistics(self) -> dict[str, int | float]:
        """Counts since the solver was made: conflicts, decisions, propagations, counter_visits, ..."""
