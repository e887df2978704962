"""What is exported to VeriPB is the question, and a proof of it to a checker that shares nothing with the exporter."""

import itertools
import random
from collections import Counter

import pytest
import veripb_replay
from certified import formula_certificates, question_certificates

from bnnhw.verify import certificate, elaboration, opb, veripb
from bnnhw.verify.formula import parse


def exported(one, known):
    made = elaboration.elaborate(one, known, with_clauses=False)
    return made, "\n".join(veripb.formula(made)) + "\n", "\n".join(veripb.proof(made)) + "\n"


def test_every_exported_proof_about_a_formula_is_replayed(tmp_path):
    steps = 0
    for _, one, known in formula_certificates(range(160), tmp_path / "one.cert"):
        _, formula, proof = exported(one, known)
        steps += veripb_replay.check(formula, proof)
    assert steps > 300


def test_every_exported_proof_about_networks_is_replayed_with_every_kind_of_step(tmp_path):
    kinds = Counter()
    for _, one, known in question_certificates(range(24), tmp_path / "one.cert", 2):
        made, formula, proof = exported(one, known)
        if len(formula) > 20_000:
            continue  # the replay is slow
        veripb_replay.check(formula, proof)
        kinds.update(fact.kind for fact in made.facts)
        kinds["one sum"] += sum(fact.kind == "equality" and fact.about != fact.other for fact in made.facts)
        kinds["budget"] += sum(fact.kind == "input" and fact.about >= len(made.clauses) for fact in made.facts)
    print(dict(kinds))
    assert min(kinds[kind] for kind in ("lemma", "version", "equality", "one sum", "budget", "unit")) > 0


def test_the_opb_file_has_exactly_the_models_of_the_formula(tmp_path):
    for text, one, known in formula_certificates(range(0, 200, 2), tmp_path / "one.cert"):
        made, written, _ = exported(one, known)
        problem, source = opb.parse(written), parse(text.decode())
        for values in itertools.product((0, 1), repeat=min(made.variables, 7)):
            # Unsatisfiable as a whole, so constraint by constraint: the same are violated.
            values = [0, *values, *[1] * (made.variables - len(values))]
            assert (problem.first_violation(values[: problem.variables + 1]) is None) == source.satisfied_by(values)


def test_each_reified_constraint_is_found_again_in_the_opb_file(tmp_path):
    """The project's own OPB reader finds out of two inequalities the constraint that the checker built."""
    found = 0
    for _, one, known in question_certificates(range(12), tmp_path / "one.cert"):
        made, written, _ = exported(one, known)
        neurons = {c.out for c in opb.recognize(opb.parse(written)).constraints if c.out}
        # A neuron of one input, or whose two halves are clauses, comes back as clauses.
        for linear in made.constraints:
            total = sum(weight for _, weight in linear.terms)
            plain = all(weight >= linear.bound for _, weight in linear.terms)
            plain = plain or all(weight >= total - linear.bound + 1 for _, weight in linear.terms)
            own = {literal // 2 for literal, _ in linear.terms}
            if linear.out > 1 and 0 < linear.bound <= total and not plain and linear.out // 2 not in own:
                assert linear.out // 2 in {abs(neuron) for neuron in neurons}
                found += 1
    assert found > 50


def test_a_changed_number_is_refused_by_the_replay(tmp_path):
    """The mutants: another weight, degree, literal or number of an inequality, or a line less."""
    rng = random.Random(1)
    tried = refused = 0
    for _, one, known in question_certificates(range(24), tmp_path / "one.cert"):
        _, formula, proof = exported(one, known)
        lines = proof.splitlines()
        if len(formula) > 10_000 or len(lines) < 12:
            continue
        for _ in range(12):
            changed = list(lines)
            at = rng.randrange(2, len(lines) - 4)
            words = changed[at].split()
            if words[0] == "del" or rng.random() < 0.3:
                del changed[at]
            else:
                numbers = [i for i, word in enumerate(words) if word.isdigit()]
                place = rng.choice(numbers)
                words[place] = str(int(words[place]) + 1)
                changed[at] = " ".join(words)
            tried += 1
            try:
                veripb_replay.check(formula, "\n".join(changed) + "\n")
            except veripb_replay.RefusedError:
                refused += 1
    # The others are proofs still: a clause more or less often makes no difference to propagation.
    print(f"{tried} mutants, {refused} refused")
    assert 4 * refused > tried > 50


GOLDEN = {
    # Two constraints that contradict each other by propagation.
    (b"p rknf 4 5\nr 3 >= 2 1 2 0\nr 4 <= 1 1 2 0\n3 4 0\n-3 -4 0\nr 0 >= 2 3 4 0\n", b"q"): (
        """\
* #variable= 4 #constraint= 7
1 x3 1 x4 >= 1 ;
1 ~x3 1 ~x4 >= 1 ;
2 ~x3 1 x1 1 x2 >= 2 ;
1 x3 1 ~x1 1 ~x2 >= 1 ;
2 x4 1 x1 1 x2 >= 2 ;
1 ~x4 1 ~x1 1 ~x2 >= 1 ;
1 x3 1 x4 >= 2 ;
""",
        """\
pseudo-Boolean proof version 2.0
f 7
rup 1 x3 >= 1 ;
rup 1 x4 >= 1 ;
rup >= 1 ;
output NONE
conclusion UNSAT : 10
end pseudo-Boolean proof
""",
    ),
    # Two with one sum, whose outputs must differ.
    (b"p rknf 5 4\nr 3 >= 2 1 2 5 0\nr 4 >= 2 1 2 5 0\n3 4 0\n-3 -4 0\n", b"s\0\1a\1\6q"): (
        """\
* #variable= 5 #constraint= 6
1 x3 1 x4 >= 1 ;
1 ~x3 1 ~x4 >= 1 ;
2 ~x3 1 x1 1 x2 1 x5 >= 2 ;
2 x3 1 ~x1 1 ~x2 1 ~x5 >= 2 ;
2 ~x4 1 x1 1 x2 1 x5 >= 2 ;
2 x4 1 ~x1 1 ~x2 1 ~x5 >= 2 ;
""",
        """\
pseudo-Boolean proof version 2.0
f 6
pol 3 6 + s
pol 4 5 + s
rup 1 ~x3 1 x4 >= 1 ;
rup 1 x3 1 ~x4 >= 1 ;
rup 1 x3 >= 1 ;
rup 1 ~x4 >= 1 ;
rup >= 1 ;
output NONE
conclusion UNSAT : 13
end pseudo-Boolean proof
""",
    ),
}


@pytest.mark.parametrize("source", GOLDEN)
def test_the_files_are_letter_by_letter_what_they_were(tmp_path, source):
    text, steps = source
    with certificate.ProofLog() as log:
        log.write(steps)
        certificate.write_of_formula(tmp_path / "one.cert", text, 0, {}, log)
    _, formula, proof = exported(certificate.read(tmp_path / "one.cert"), certificate.know(formulas=[text]))
    assert (formula, proof) == GOLDEN[source]
    veripb_replay.check(formula, proof)
    with pytest.raises(veripb_replay.RefusedError, match="line"):
        veripb_replay.check(
            formula.replace("1 ~x3 1 ~x4 >= 1 ;", "1 ~x3 1 ~x4 >= 0 ;").replace("x4 >= 2", "x4 >= 1"), proof
        )
