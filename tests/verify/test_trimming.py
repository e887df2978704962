"""Trimmed proofs are proofs to both checkers, never larger, and have nothing in them that can go."""

import certificate_twin as twin
import pytest
from certified import ENUMERATION, formula_certificates, question_certificates
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bnnhw.verify import UnsoundnessError, _elaborator, certificate, elaboration, trimming, veripb


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32 - 1))
def test_a_trimmed_proof_about_networks_is_accepted_by_both_checkers_and_trims_no_further(tmp_path_factory, seed):
    path = tmp_path_factory.getbasetemp() / "question.cert"
    certified = next(question_certificates([seed], path), None)
    if certified is None:
        return
    models, one, known = certified
    trimmed = trimming.trimmed(one, known)
    assert certificate.refusal(trimmed, known) is None
    twin.check_robust(models, trimmed.manifest["question"], certificate.expanded(trimmed))
    assert len(trimmed.file) <= len(one.file)
    assert len(certificate.expanded(trimmed)) <= len(certificate.expanded(one))
    assert len(trimming.trimmed(trimmed, known).file) <= len(trimmed.file)
    assert {**trimmed.manifest, "proof": None} == {**one.manifest, "proof": None}


def test_a_proof_that_tries_every_image_is_not_followed_and_is_translated_by_another(tmp_path, monkeypatch):
    seen = 0
    for _, one, known in question_certificates(range(40), tmp_path / "one.cert", 4, ENUMERATION):
        steps, trimmed = certificate.expanded(one), certificate.expanded(trimming.trimmed(one, known))
        if b"n\0q" not in trimmed:
            continue
        seen += 1
        assert trimmed == steps
        assert next(veripb.files(one, known)[".pbp"]).startswith("pseudo-Boolean proof")
        with monkeypatch.context() as patch:
            patch.setattr(elaboration, "SEARCH_SECONDS", 0)
            with pytest.raises(ValueError, match="the solver finds no other"):
                veripb.files(one, known)
    assert seen > 2


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32 - 1))
def test_a_trimmed_proof_about_a_formula_is_accepted_by_both_checkers(tmp_path_factory, seed):
    path = tmp_path_factory.getbasetemp() / "formula.cert"
    certified = next(formula_certificates([seed], path), None)
    if certified is None:
        return
    text, one, known = certified
    trimmed = trimming.trimmed(one, known)
    assert certificate.refusal(trimmed, known) is None
    twin.check_proof(twin.formula_of_knf(text), twin.Bytes(certificate.expanded(trimmed)))
    assert len(trimmed.file) <= len(one.file)


def test_without_a_step_that_was_kept_most_proofs_break(tmp_path):
    """The mutants: a trimmed proof less one step. Propagation alone finds some again; most it does not."""
    dropped = broken = 0
    letters = set()
    for text, one, known in formula_certificates(range(200), tmp_path / "one.cert"):
        proof = _elaborator.trim_unsatisfiable(text, certificate.expanded(one))
        parts = [(letter, proof[start:end]) for start, end, letter in twin.steps(proof)]
        for at, (letter, _) in enumerate(parts):
            if letter in "dq":
                continue
            shorter = b"".join(part for place, (_, part) in enumerate(parts) if place != at)
            dropped += 1
            if certificate.refusal(one.with_proof(shorter), known) is not None:
                broken += 1
                letters.add(letter)
    print(f"{dropped} mutants, {broken} refused")
    assert {"a", "e"} <= letters
    assert 2 * broken > dropped > 100


def test_a_chain_of_lemmas_is_kept_and_what_leads_nowhere_is_dropped():
    """Every assignment of four variables is forbidden, so lemmas have to build up."""
    corners = [[(v + 1) * (1 if bits >> v & 1 else -1) for v in range(4)] for bits in range(16)]
    text = f"p rknf 6 {len(corners)}\n" + "".join(" ".join(map(str, [*corner, 0])) + "\n" for corner in corners)

    def lemma(*literals):
        return bytes([ord("a"), len(literals), *(2 * abs(one) + (one < 0) for one in literals)])

    useless = [lemma(5, 1, 2, 3), lemma(6, -5, 1, 2, 3)]
    chain = [lemma(1, 2, 3), lemma(1, 2, -3), lemma(1, 2), lemma(1, -2, 3), lemma(1, -2, -3), lemma(1)]
    chain += [lemma(-1, 2, 3), lemma(-1, 2, -3), lemma(-1, 2), lemma(-1, -2, 3)]
    trimmed = _elaborator.trim_unsatisfiable(text.encode(), b"".join([chain[0], *useless, *chain[1:], b"q"]))
    kept = [trimmed[start:end] for start, end, _ in twin.steps(trimmed)]
    assert not set(useless) & set(kept)
    assert set(kept) <= {*chain, b"q"}
    known = certificate.know(formulas=[text.encode()])
    one = certificate.Certificate({"verdict": "unsatisfiable", "formula": next(iter(known.formulas))})
    assert certificate.refusal(one.with_proof(trimmed), known) is None
    for at in range(len(kept) - 1):
        shorter = b"".join(part for place, part in enumerate(kept) if place != at)
        broken = certificate.refusal(one.with_proof(shorter), known) is not None
        assert broken or len(_elaborator.trim_unsatisfiable(text.encode(), shorter)) < len(trimmed)


def test_what_does_not_hold_is_not_trimmed(tmp_path):
    _, one, known = next(formula_certificates(range(100), tmp_path / "one.cert"))
    with pytest.raises(ValueError, match="another formula"):
        trimming.trimmed(one, certificate.know())
    damaged = certificate.Certificate(one.manifest, one.proof[:-1])
    with pytest.raises(ValueError, match="damaged or cut off"):
        trimming.trimmed(damaged, known)


def test_a_trimmer_that_drops_what_is_needed_is_found_out(tmp_path, monkeypatch):
    """The mutant of the trimmer itself: its result is checked before anybody gets it."""
    made = formula_certificates(range(200), tmp_path / "one.cert")
    _, one, known = next(
        (text, one, known)
        for text, one, known in made
        if len(_elaborator.trim_unsatisfiable(text, certificate.expanded(one))) > 20
    )
    monkeypatch.setattr(_elaborator, "trim_unsatisfiable", lambda *_: b"q")
    with pytest.raises(UnsoundnessError, match="refused"):
        trimming.trimmed(one, known)
