"""Both checkers accept what the solver proves, neither accepts what is not so, and no corruption gets past them."""

import json
import random
from collections import Counter
from dataclasses import replace

import certificate_twin as twin
import certificates_against_brute_force as truth
import numpy as np
import pytest
from brute_force import box_members
from certified import ENUMERATION, SEARCH, Pieces, question_certificates
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_formulas import random_formula
from random_models import random_model, random_pixels
from random_questions import random_questions

from bnnhw import model as models_
from bnnhw.model import reference
from bnnhw.verify import Keeps, Solver, _checker, box, build, certificate, check, linf_ball
from bnnhw.verify.formula import serialize


def prove(networks, question, plan=SEARCH):
    log = Pieces()
    verdict = check(networks, question, plan=plan, proof=log)
    return verdict, log.proof


def refused(networks, question, proof):
    """Why the compiled checker refuses; None if it accepts."""
    try:
        _checker.check_robust(networks, certificate.for_checker(question), proof)
    except ValueError as error:
        return str(error)
    return None


def readers(networks):
    return [_checker.Network(models_.encode(network.model)) for network in networks]


def robust_cases(seeds, per_seed=6, plan=SEARCH):
    """(models, as the compiled checker reads them, stated question, proof) of robust answers with steps to corrupt."""
    for seed in seeds:
        for table, question, _ in random_questions(np.random.default_rng(seed), per_seed):
            verdict, proof = prove(table.networks, question, plan)
            if verdict.status == "robust" and len(proof) > 4:
                models = [network.model for network in table.networks]
                yield models, readers(table.networks), certificate.stated(question), proof


@pytest.mark.parametrize("plan", [SEARCH, ENUMERATION], ids=["solver", "enumeration"])
@pytest.mark.parametrize("seed", range(12))
def test_both_checkers_accept_every_proof_and_no_wrong_verdict(seed, plan):
    for table, question, _ in random_questions(np.random.default_rng(seed), 8):
        verdict, proof = prove(table.networks, question, plan)
        stated = certificate.stated(question)
        digests = [network.digest for network in table.networks]
        assert certificate.asked(stated).digest(digests) == question.digest(digests)
        networks = readers(table.networks)
        if verdict.status == "robust":
            assert refused(networks, stated, proof) is None
            twin.check_robust([network.model for network in table.networks], stated, proof)
        else:
            asked = certificate.for_checker(stated)
            pixels = verdict.counterexample.image.ravel().tolist()
            _checker.check_falsified(networks, asked, pixels)
            for proof in (b"", b"q", b"a\0q", b"n\0q"):
                assert refused(networks, stated, proof) is not None


def test_a_constraint_that_propagation_has_decided_may_be_named_again(monkeypatch):
    """The checkers propagate after every step, so they may know a constraint's answer before the solver rewrites it."""
    named, decided = twin.Twin.named, []

    def counted(self, data):
        letter = data.data[data.at - 1 : data.at]
        name, linear = named(self, data)
        if letter == b"e":
            decided.append(linear.always or linear.never)
        return name, linear

    monkeypatch.setattr(twin.Twin, "named", counted)
    for table, question, _ in random_questions(np.random.default_rng(102), 5):
        verdict, proof = prove(table.networks, question)
        if verdict.status != "robust":
            continue
        models, stated = [network.model for network in table.networks], certificate.stated(question)
        assert refused(readers(table.networks), stated, proof) is None
        twin.check_robust(models, stated, proof)
    assert any(decided)
    assert not all(decided)


def test_a_budget_that_pays_for_every_change_is_enumerated_all_the_same():
    """Both checkers have decided such a budget before the first step: the enumeration is over it as it was stated."""
    paid = 0
    for table, question, _ in random_questions(np.random.default_rng(727), 4):
        verdict, proof = prove(table.networks, question, ENUMERATION)
        if proof.endswith(b"n\0q"):
            models, stated = [network.model for network in table.networks], certificate.stated(question)
            assert verdict.status == "robust"
            assert refused(readers(table.networks), stated, proof) is None
            twin.check_robust(models, stated, proof)
            paid += twin.formula_of(models, stated, {}).constraints[0].always
    assert paid > 0


def test_a_constraint_whose_output_is_among_its_inputs_leaves_no_lemma_with_a_variable_twice():
    refuted = 0
    for seed in range(300):
        text = serialize(random_formula(random.Random(seed))).encode()
        log, solver = Pieces(), Solver(0)
        solver.log_proof(log.write)
        solver.read_knf(text)
        if solver.solve().status == "unsat":
            refuted += 1
            solver.finish_proof()
            _checker.check_unsatisfiable(text, log.proof)
            twin.check_proof(twin.formula_of_knf(text), twin.Bytes(log.proof))
    assert refuted > 50


def test_nothing_is_accepted_that_brute_force_contradicts():
    seen = truth.campaign(200)
    assert 0.2 < seen["robust"] / seen["questions"] < 0.8
    assert seen["robust"] <= seen["proofs accepted"] < seen["proofs tried"]


def test_every_way_to_meet_a_constraint_is_the_same_to_both_checkers_and_to_the_solver():
    """Formulas of a limit on inputs, clauses of two of them, and sums over them: `n` refutes some, and no model's."""
    seen = Counter()
    for seed in range(400):
        rng = random.Random(seed)
        inputs, sums = rng.randint(3, 7), rng.randint(1, 4)
        variables = inputs + sums
        lines = [f"{rng.choice([-1, 1]) * a} {rng.choice([-1, 1]) * b} 0" for a, b in pairs(rng, inputs)]
        lines.append(f"r 0 >= {inputs - rng.randint(1, 2)} {signed(rng, range(1, inputs + 1))} 0")
        for neuron in range(inputs + 1, variables + 1):
            chosen = rng.sample(range(1, inputs + 1), rng.randint(2, inputs))
            lines.append(f"r {neuron} >= {rng.randint(1, len(chosen))} {signed(rng, chosen)} 0")
        lines.append(f"{signed(rng, rng.sample(range(inputs + 1, variables + 1), rng.randint(1, sums)))} 0")
        lines.append(f"{signed(rng, rng.sample(range(inputs + 1, variables + 1), rng.randint(1, sums)))} 0")
        text = "\n".join([f"p rknf {variables} {len(lines)}", *lines, ""]).encode()
        solver = Solver(0)
        solver.read_knf(text)
        status = solver.solve().status
        for proof in (b"n\0q", b"q", bytes([ord("n"), rng.randint(1, sums), ord("q")])):
            accepted = twin.accepts(_checker.check_unsatisfiable, text, proof)
            formula = twin.formula_of_knf(text)
            assert accepted == twin.accepts(twin.check_proof, formula, twin.Bytes(proof)), (seed, proof)
            assert not accepted or status == "unsat"
            seen[proof[:2], status, accepted] += 1
    assert seen[b"n\0", "unsat", True] > seen[b"q", "unsat", True] + 20
    assert seen[b"n\0", "sat", False] > 100


def pairs(rng, inputs):
    return [rng.sample(range(1, inputs + 1), 2) for _ in range(rng.randint(0, 2))]


def signed(rng, variables):
    return " ".join(str(rng.choice([-1, 1]) * one) for one in variables)


def test_brute_force_contradicts_a_checker_that_accepts_everything(monkeypatch):
    monkeypatch.setattr(truth, "accepts", lambda *_: True)
    with pytest.raises(AssertionError, match="accepted as robust, and it is not"):
        truth.campaign(20)


def test_a_counterexample_is_accepted_exactly_where_reference_inference_agrees():
    accepted = Counter()
    for seed in range(300):
        rng = np.random.default_rng(seed)
        net = random_model(rng)
        image = random_pixels(rng, net, 1)[0]
        question = linf_ball(image, 3, net.quantizer) & Keeps(int(rng.integers(net.classes)), bool(rng.random() < 0.5))
        other = np.clip(image + rng.integers(-4, 5, image.shape), net.quantizer.pixel_min, net.quantizer.pixel_max)
        is_one = question.region.contains(other) and not question.condition.met([reference.scores(net, other[None])[0]])
        asked, pixels = certificate.for_checker(certificate.stated(question)), other.ravel().tolist()
        try:
            _checker.check_falsified([_checker.Network(models_.encode(net))], asked, pixels)
            assert is_one
        except ValueError:
            assert not is_one
        assert twin.accepts(twin.check_falsified, [net], certificate.stated(question), pixels) == is_one
        accepted[is_one] += 1
    assert min(accepted[True], accepted[False]) > 20


def test_the_twin_reads_files_and_refuses_one_about_something_else(tmp_path):
    models, one, _ = next(question_certificates(range(9), tmp_path / "one.cert"))
    by_digest = dict(zip(one.manifest["models"], models, strict=True))
    assert twin.check_file(one.file, by_digest, {}) == "robust"
    with pytest.raises(KeyError):
        twin.check_file(one.file, dict.fromkeys(["another"], models[0]), {})
    with pytest.raises(twin.RefusedError, match="digest"):
        twin.check_file(one.file[:-1] + bytes([one.file[-1] ^ 1]), by_digest, {})


def test_propagation_alone_never_refutes_what_brute_force_finds():
    """Boxes around the nearest violation: the checker's own bounds must not call one of them robust."""
    violated = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        net = random_model(rng, (1, 2, 2), pixel_range=(0, 6))
        low = rng.integers(0, 5, (1, 2, 2))
        high = low + rng.integers(0, 3, (1, 2, 2))
        question = box(low, high) & Keeps(int(rng.integers(net.classes)))
        scores = reference.scores(net, box_members(low, high))
        wrong = any(not question.condition.met([one]) for one in scores)
        verdict, proof = prove([build(net)], question)
        accepted = refused([_checker.Network(models_.encode(net))], certificate.stated(question), proof) is None
        assert accepted == (verdict.status == "robust") == (not wrong)
        violated += wrong
    assert 40 < violated < 360


def test_a_model_with_more_classes_than_the_checker_can_number_is_refused():
    """65,536 classes have 2^32 comparisons: a 32-bit count of them would be zero, and their variables none."""
    classes = 1 << 16
    quantizer = models_.Quantizer((1, 1, 1), np.array([[[[1]]]]), 0, 1)
    net = models_.IntegerModel(quantizer, (), models_.Output(np.ones((classes, 1), int), np.zeros(classes, int), 0))
    question = box(np.zeros((1, 1, 1), int), np.ones((1, 1, 1), int)) & Keeps(0)
    reason = refused([_checker.Network(models_.encode(net))], certificate.stated(question), b"q")
    assert reason == "the question has too many variables"


def test_a_formula_of_few_bytes_cannot_declare_so_many_variables_that_memory_runs_out():
    with pytest.raises(ValueError, match="out of range"):
        _checker.check_unsatisfiable(b"p rknf 268435455 1\n1 0\n", b"q")


def corrupted(rng, question, proof):
    """(kind, question, proof) with one thing changed."""
    kind = str(rng.choice(["literal", "drop", "swap", "cut", "byte", "pixel", "insert"]))
    parts = [proof[start:end] for start, end, _ in twin.steps(proof)]
    at = int(rng.integers(len(parts)))
    if kind == "literal":
        part = bytearray(parts[at])
        part[-1] ^= 1 << int(rng.integers(4))
        parts[at] = bytes(part)
    elif kind == "drop":
        del parts[at]
    elif kind == "swap":
        other = int(rng.integers(len(parts)))
        parts[at], parts[other] = parts[other], parts[at]
    elif kind == "insert":
        parts.insert(at, bytes(rng.integers(0, 256, int(rng.integers(1, 5)), np.uint8)))
    elif kind == "cut":
        return kind, question, proof[: int(rng.integers(len(proof)))]
    elif kind == "byte":
        changed = bytearray(proof)
        changed[int(rng.integers(len(proof)))] = int(rng.integers(256))
        return kind, question, bytes(changed)
    else:
        question = json.loads(json.dumps(question))
        side = str(rng.choice(["image", "low", "high"]))
        question[side][int(rng.integers(len(question[side])))] += int(rng.choice([-1, 1]))
    return kind, question, b"".join(parts)


def test_ten_thousand_corruptions_and_none_accepted_that_proves_nothing():
    """Where the compiled checker accepts one, the twin says that it is a proof, and brute force that it is true."""
    rng = np.random.default_rng(20261128)
    tried, accepted = Counter(), Counter()
    # The twin is slow: short proofs, and none of them twice. The solver's, and every image of a budget.
    proofs = set()
    cases = sorted(robust_cases(range(100, 140)), key=lambda case: len(case[-1]) * len(case[2]["image"]))[:25]
    cases += [case for case in robust_cases(range(100, 140), plan=ENUMERATION) if case[-1].endswith(b"n\0q")][:8]
    letters = Counter(letter for *_, proof in cases for _, _, letter in twin.steps(proof))
    assert {"a", "b", "w", "e", "s", "n", "q"} <= set(letters)
    while tried.total() < 10_000:
        models, networks, question, proof = cases[tried.total() % len(cases)]
        kind, question, proof = corrupted(rng, question, proof)
        tried[kind] += 1
        if refused(networks, question, proof) is None:
            accepted[kind] += 1
            known = tried.total() % len(cases), json.dumps(question), proof
            if known not in proofs:
                twin.check_robust(models, question, proof)
                proofs.add(known)
    print(f"{tried.total()} corruptions {dict(tried)}; proofs all the same {dict(accepted)}, {len(proofs)} different")
    assert all(accepted[kind] < tried[kind] for kind in tried)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=60), st.integers(0, 50))
def test_bytes_that_are_no_proof_never_refute_what_has_a_counterexample(noise, seed):
    table, question, _ = next(random_questions(np.random.default_rng(seed), 1))
    if check(table.networks, question).status == "falsified":
        assert refused(readers(table.networks), certificate.stated(question), noise) is not None


@pytest.fixture
def certified(tmp_path):
    """A certificate with a proof of some steps: (path, its bytes, the model's)."""
    for seed in range(100):
        for table, question, _ in random_questions(np.random.default_rng(seed), 6):
            path = tmp_path / "one.cert"
            verdict = certificate.certify(table.networks, question, path)
            if verdict.status == "robust" and verdict.stage == "solver" and len(table.networks) == 1:
                return path, path.read_bytes(), models_.encode(table.networks[0].model)
    raise AssertionError("no such question")


def rewritten(path, change):
    """Change the manifest and nothing else."""
    one = certificate.read(path)
    change(one.manifest)
    return certificate.Certificate(one.manifest, one.proof)


def test_a_certificate_is_refused_for_another_model_or_question_and_when_damaged(certified):
    path, data, model_bytes = certified
    known = certificate.know([model_bytes])
    assert certificate.refusal(certificate.read(path), known) is None
    assert "another model" in certificate.refusal(certificate.read(path), certificate.know())
    other = rewritten(path, lambda manifest: manifest["models"].__setitem__(0, "0" * 64))
    assert "another model" in certificate.refusal(other, known)
    pixel = rewritten(path, lambda manifest: manifest["question"]["high"].__setitem__(0, 99))
    assert certificate.refusal(pixel, known) is not None
    cut = path.with_name("cut.cert")
    for end in range(0, len(data), max(1, len(data) // 40)):
        cut.write_bytes(data[:end])
        assert why_not(cut, known) is not None


def why_not(path, known):
    """As `bnnhw certify check` reads it."""
    try:
        return certificate.refusal(certificate.read(path), known)
    except certificate.CertificateError as error:
        return str(error)


def test_no_file_where_writing_fails(tmp_path, monkeypatch):
    table, question, _ = next(random_questions(np.random.default_rng(3), 1))

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        certificate.certify(table.networks, question, tmp_path / "one.cert")
    assert list(tmp_path.iterdir()) == []


def test_a_proof_about_a_network_that_is_not_the_models_is_refused():
    """An encoder that gets one layer's thresholds wrong: its proofs are proofs, but not about this model."""
    wrong = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        net = random_model(rng, (1, 2, 2), hidden=1, pixel_range=(0, 6))
        layer = net.hidden[0]
        shifted = replace(layer, threshold=layer.threshold + int(rng.choice([-2, 2])))
        other = models_.IntegerModel(net.quantizer, (shifted,), net.output)
        image = random_pixels(rng, net, 1)[0]
        question = linf_ball(image, 1, net.quantizer) & Keeps(int(np.argmax(reference.scores(other, image[None])[0])))
        verdict, proof = prove([build(other)], question)
        if verdict.status == "robust" and check(build(net), question).status == "falsified":
            wrong += 1
            assert refused([_checker.Network(models_.encode(net))], certificate.stated(question), proof) is not None
    assert wrong > 10
