from collections.abc import Sequence

def trim_robust(models: Sequence[bytes], question: bytes, proof: bytes) -> bytes:
    """The steps of a proof that its contradiction rests on; ValueError, with the step, where it is none.

    models: the files. question: the JSON text of docs/certificates.md. proof: its steps, decompressed.
    """

def trim_unsatisfiable(formula: bytes, proof: bytes) -> bytes:
    """The same of a proof that the `.knf` text has no model."""
