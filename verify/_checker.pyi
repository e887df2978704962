from collections.abc import Sequence

class Network:
    """A model file, read by the checker's own reader; ValueError where it is none."""

    def __init__(self, file: bytes) -> None: ...

def check_robust(networks: Sequence[Network], question: bytes, proof: bytes) -> None:
    """Return if the proof shows that no image of the question violates its condition; else ValueError, with the step.

    question: the JSON text of docs/certificates.md. proof: its steps, decompressed.
    """

def check_falsified(networks: Sequence[Network], question: bytes, image: bytes) -> None:
    """Return if the image, a JSON list of pixels, is the question's and violates its condition; else ValueError."""

def check_unsatisfiable(formula: bytes, proof: bytes) -> None:
    """Return if the proof shows that the `.knf` text has no model; ValueError, with the step, if not."""
