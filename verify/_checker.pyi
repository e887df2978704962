from collections.abc import Sequence

class Network:
    """A model file, read by the checker's own reader; ValueError where it is none."""

    def __init__(self, file: bytes) -> None: ...

class Question:
    """A question of docs/certificates.md as numbers; whether it makes sense is checked where it is asked.

    Pixels in C, H, W order. norm: "" without a budget; weight: empty where all are 1; label: or the target.
    """

    def __init__(
        self,
        shape: Sequence[int],
        image: Sequence[int],
        low: Sequence[int],
        high: Sequence[int],
        norm: str,
        limit: int,
        weight: Sequence[int],
        kind: str,
        label: int,
        strictly: bool,
    ) -> None: ...

def check_robust(networks: Sequence[Network], question: Question, proof: bytes) -> None:
    """Return if the proof shows that no image of the question violates its condition; else ValueError, with the step.

    proof: its steps, decompressed.
    """

def check_falsified(networks: Sequence[Network], question: Question, image: Sequence[int]) -> None:
    """Return if the image's pixels are the question's and violate its condition; else ValueError."""

def check_unsatisfiable(formula: bytes, proof: bytes) -> None:
    """Return if the proof shows that the `.knf` text has no model; ValueError, with the step, if not."""
