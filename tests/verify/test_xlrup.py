"""What is exported for `cake_xlrup` is the question and a proof of it by propagation alone, or refused in words."""

import itertools
import random
from collections import Counter

import pytest
import xlrup_replay
from certified import formula_certificates, question_certificates

from bnnhw.verify import certificate, xlrup
from bnnhw.verify.formula import parse


def exported(one, known):
    made = xlrup.files(one, known)
    return "\n".join(made[".xnf"]) + "\n", "\n".join(made[".xlrup"]) + "\n"


def test_every_exported_proof_about_a_formula_is_replayed(tmp_path):
    steps = 0
    for _, one, known in formula_certificates(range(160), tmp_path / "one.cert"):
        steps += xlrup_replay.check(*exported(one, known))
    assert steps > 1000


def test_proofs_about_networks_are_replayed_or_refused_in_one_sentence(tmp_path):
    came, sentences = Counter(), set()
    for _, one, known in question_certificates(range(40), tmp_path / "one.cert", 2):
        try:
            files = exported(one, known)
        except ValueError as error:
            came["budget step" if "budget step" in str(error) else "sum"] += 1
            sentences.add(str(error).split(":")[-1].strip())
            continue
        xlrup_replay.check(*files)
        came["replayed"] += 1
    print(dict(came))
    assert all(sentence.startswith("XLRUP has no such step") for sentence in sentences)
    assert came["replayed"] > came["budget step"] + came["sum"]
    assert min(came.values()) > 0


def test_the_formula_has_exactly_the_models_of_the_certificate_s(tmp_path):
    for text, one, known in formula_certificates(range(0, 200, 2), tmp_path / "one.cert"):
        source = parse(text.decode())
        clauses, constraints = xlrup_replay.read_formula(exported(one, known)[0])
        for values in itertools.product((False, True), repeat=min(source.variables, 7)):
            values = [*values, *[True] * (source.variables - len(values))]
            true = {v if value else -v for v, value in enumerate([*values, True], start=1)}
            held = all(true & set(clause) for clause in clauses.values()) and all(
                (sum(literal in true for literal in literals) >= least) == (out in true)
                for literals, least, out in constraints
            )
            assert held == source.satisfied_by([0, *values])


def test_a_changed_number_is_refused_by_the_replay(tmp_path):
    rng = random.Random(1)
    tried = refused = 0
    for _, one, known in formula_certificates(range(1, 120, 2), tmp_path / "one.cert"):
        formula, proof = exported(one, known)
        lines = proof.splitlines()
        for _ in range(12):
            changed = list(lines)
            at = rng.randrange(len(lines))
            words = changed[at].split()
            places = [i for i, word in enumerate(words) if word.lstrip("-").isdigit() and word != "0"]
            place = rng.choice(places)
            words[place] = str(-int(words[place]) if rng.random() < 0.5 else int(words[place]) + 1)
            changed[at] = " ".join(words)
            tried += 1
            try:
                xlrup_replay.check(formula, "\n".join(changed) + "\n")
            except xlrup_replay.RefusedError:
                refused += 1
    print(f"{tried} mutants, {refused} refused")
    assert 4 * refused > 3 * tried > 300


def test_the_files_are_letter_by_letter_what_they_were(tmp_path):
    text = b"p rknf 4 5\nr 3 >= 2 1 2 0\nr 4 <= 1 1 2 0\n3 4 0\n-3 -4 0\nr 0 >= 2 3 4 0\n"
    with certificate.ProofLog() as log:
        log.write(b"q")
        certificate.write_of_formula(tmp_path / "one.cert", text, 0, {}, log)
    formula, proof = exported(certificate.read(tmp_path / "one.cert"), certificate.know(formulas=[text]))
    assert formula == "p cnf 5 6\n3 4 0\n-3 -4 0\n5 0\nb 1 2 0 2 3 0\nb 1 2 0 2 -4 0\nb 3 4 0 2 5 0\n"
    assert proof == (
        "o b 1 1 2 0 2 3 0\no b 2 1 2 0 2 -4 0\no b 3 3 4 0 2 5 0\n"
        "i cb 4 3 0 3 u 3 0\n5 3 0 4 0\ni cb 6 4 0 3 u 3 0\n7 4 0 6 0\n8 0 7 5 2 0\n"
    )
    xlrup_replay.check(formula, proof)
    weaker = [file.replace("3 4 0 2 5 0", "3 4 0 1 5 0") for file in (formula, proof)]
    with pytest.raises(xlrup_replay.RefusedError, match="does not imply"):
        xlrup_replay.check(*weaker)
