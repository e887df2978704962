"""Trimming certificates: a proof without the steps that its contradiction does not rest on.

A search learns much that it never needs. The elaborator follows a proof with the reasons of every propagation, marks
backwards from the contradiction what that rests on, and drops the rest ("trimming while checking", Heule, Hunt and
Wetzler, FMCAD 2013). It is not trusted: the checker of certificates has to accept what comes out.
"""

from __future__ import annotations

from bnnhw.verify import _elaborator
from bnnhw.verify.certificate import Certificate, Known, expanded, for_checker, refusal
from bnnhw.verify.check import UnsoundnessError

__all__ = ["trimmed"]


def trimmed(certificate: Certificate, known: Known) -> Certificate:
    """The same certificate with a smaller proof; itself where there is no proof or trimming makes its file no smaller.

    ValueError, with the reason, where the certificate does not hold; UnsoundnessError where the trimmed one does not.
    """
    why = refusal(certificate, known)
    if why is not None:
        raise ValueError(why)
    if not certificate.proof:
        return certificate
    manifest, proof = certificate.manifest, expanded(certificate)
    if certificate.verdict == "unsatisfiable":
        steps = _elaborator.trim_unsatisfiable(known.formulas[manifest["formula"]], proof)
    else:
        networks = [known.network(digest) for digest in manifest["models"]]
        steps = _elaborator.trim_robust(networks, for_checker(manifest["question"]), proof)
    smaller = certificate.with_proof(steps)
    if len(steps) > len(proof) or len(smaller.file) >= len(certificate.file):
        return certificate
    # The same steps, packed more tightly, have been checked.
    why = None if steps == proof else refusal(smaller, known)
    if why is not None:
        raise UnsoundnessError(f"the trimmed proof is refused: {why}")
    return smaller
