"""Certificates: a verdict with what it takes to check it, in one file that a stranger can read (docs/certificates.md).

A robust verdict comes with a proof, a falsified one with its counterexample. The proof is compressed with zlib, which
Python brings along: neither the compiled solver nor the compiled checker needs a library for it, and what it expands to
is checked step by step in any case. A certificate is written in one move, so a crash or a full disk leaves none.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from bnnhw.model.file import write_atomically
from bnnhw.verify import _checker
from bnnhw.verify.check import Limits, Plan, Verdict, check
from bnnhw.verify.network import Network
from bnnhw.verify.properties import Agree, Avoids, Budget, Condition, Keeps, NotUnanimouslyWrong, Property, Region

FIRST_LINE = b"bnnhw-certificate 1\n"
_CHUNK = 1 << 20
_SMALL = 1 << 14


class CertificateError(ValueError):
    """A file that is no certificate, or a certificate that cannot be checked for lack of what it speaks about."""


@dataclass(frozen=True)
class Certificate:
    """A certificate as read: ``manifest`` is its JSON, ``proof`` the compressed steps, empty where there are none."""

    manifest: dict[str, Any]
    proof: bytes = b""

    @property
    def verdict(self) -> str:
        """robust, falsified or unsatisfiable."""
        return str(self.manifest.get("verdict"))

    @property
    def file(self) -> bytes:
        """The file's bytes."""
        return b"".join(_pieces(self.manifest, [self.proof]))

    def with_proof(self, steps: bytes) -> Certificate:
        """The same certificate with these steps for its proof."""
        proof = zlib.compress(steps, 9)
        said = {"compression": "zlib", "bytes": len(steps), "sha256": hashlib.sha256(proof).hexdigest()}
        return Certificate({**self.manifest, "proof": said}, proof)


class ProofLog:
    """Takes a proof piece by piece and keeps it, compressed; one of more than a mebibyte in a temporary file.

    A small proof is kept as it is, in zlib's format: most take the solver less time than zlib.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(_CHUNK)  # noqa: SIM115 - closed on leaving
        self._compressor: Any = None
        self._held: list[bytes] = []
        self._state = hashlib.sha256()
        self._steps_bytes = 0

    def write(self, piece: bytes) -> None:
        """Take the next piece."""
        self._steps_bytes += len(piece)
        self._held.append(piece)
        if self._steps_bytes > _SMALL:
            self._pass_on(1)

    def finish(self) -> dict[str, Any]:
        """No piece follows: what the manifest says of the proof."""
        self._pass_on(0)
        self._keep(self._compressor.flush())
        return {"compression": "zlib", "bytes": self._steps_bytes, "sha256": self._state.hexdigest()}

    def pieces(self) -> Iterator[bytes]:
        """The compressed proof, after ``finish``."""
        self._file.seek(0)
        while piece := self._file.read(_CHUNK):
            yield piece

    def _pass_on(self, level: int) -> None:
        """Compress what is held; the first time it is done decides the level."""
        self._compressor = self._compressor or zlib.compressobj(level)
        self._keep(self._compressor.compress(b"".join(self._held)))
        self._held.clear()

    def _keep(self, compressed: bytes) -> None:
        self._state.update(compressed)
        self._file.write(compressed)

    def __enter__(self) -> ProofLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def certify(
    networks: Sequence[Network],
    question: Property,
    path: Path,
    limits: Limits = Limits(),
    seed: int = 0,
    plan: Plan = Plan(),
) -> Verdict:
    """Decide a question and write the certificate to ``path``; no file where the verdict is unknown."""
    with ProofLog() as log:
        verdict = check(networks, question, limits, seed, plan, log)
        if verdict.status != "unknown":
            write(path, networks, question, verdict, seed, log if verdict.status == "robust" else None)
    return verdict


def write(
    path: Path, networks: Sequence[Network], question: Property, verdict: Verdict, seed: int, log: ProofLog | None
) -> None:
    """Write the certificate of a verdict. log: of a robust one, its finished proof."""
    found = verdict.counterexample
    digests = [network.digest for network in networks]
    _write(
        path,
        {
            "verdict": verdict.status,
            "models": digests,
            "query": question.digest(digests),
            "question": stated(question),
            "counterexample": None if found is None else found.image.ravel().tolist(),
            "solver": {"version": version("bnnhw"), "seed": seed, "stage": verdict.stage},
            "statistics": verdict.statistics,
            "seconds": verdict.seconds,
        },
        log,
    )


def write_of_formula(path: Path, formula: bytes, seed: int, statistics: Mapping[str, Any], log: ProofLog) -> None:
    """Write the certificate that the text of a `.knf` file has no model."""
    solver = {"version": version("bnnhw"), "seed": seed}
    head = {"verdict": "unsatisfiable", "formula": hashlib.sha256(formula).hexdigest(), "solver": solver}
    _write(path, {**head, "statistics": dict(statistics)}, log)


def _write(path: Path, manifest: dict[str, Any], log: ProofLog | None) -> None:
    proof = None if log is None else log.finish()
    write_atomically(path, _pieces({**manifest, "proof": proof}, [] if log is None else log.pieces()))


def _pieces(manifest: Mapping[str, Any], proof: Iterable[bytes]) -> Iterator[bytes]:
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return chain([FIRST_LINE, text.encode(), b"\n"], proof)


def stated(question: Property) -> dict[str, Any]:
    """The question in full, as JSON."""
    region, budget = question.region, question.region.budget
    weight = None if budget is None or budget.weight is None else budget.weight.ravel().tolist()
    return {
        "shape": list(region.image.shape),
        **{name: getattr(region, name).ravel().tolist() for name in ("image", "low", "high")},
        "budget": None if budget is None else {"norm": budget.norm, "limit": int(budget.limit), "weight": weight},
        "condition": _condition(question.condition),
    }


def _condition(condition: Condition) -> dict[str, Any]:
    match condition:
        case Keeps(label, strictly):
            return {"kind": "keeps", "label": label, "strictly": strictly}
        case Avoids(target):
            return {"kind": "avoids", "target": target}
        case NotUnanimouslyWrong(label):
            return {"kind": "not_unanimously_wrong", "label": label}
        case Agree():
            return {"kind": "agree"}


def asked(statement: Mapping[str, Any]) -> Property:
    """The question that ``stated`` put into words; ValueError, KeyError or TypeError where it is none."""
    shape = tuple(int(side) for side in statement["shape"])
    image, low, high = (np.array(statement[name], np.int64).reshape(shape) for name in ("image", "low", "high"))
    budget, condition = statement["budget"], dict(statement["condition"])
    if budget is not None:
        weight = None if budget["weight"] is None else np.array(budget["weight"], np.int64).reshape(shape)
        budget = Budget(budget["norm"], budget["limit"], weight)
    kinds: dict[str, Callable[..., Condition]] = {
        "keeps": Keeps,
        "avoids": Avoids,
        "not_unanimously_wrong": NotUnanimouslyWrong,
        "agree": Agree,
    }
    return Property(Region(image, low, high, budget), kinds[condition.pop("kind")](**condition))


def read(path: str | os.PathLike[str]) -> Certificate:
    """Read a certificate; CertificateError, naming the file, where it is none."""
    data = Path(path).read_bytes()
    end = data.find(b"\n", len(FIRST_LINE))
    try:
        if not data.startswith(FIRST_LINE) or end < 0:
            raise ValueError("its first line is not 'bnnhw-certificate 1'")
        manifest = json.loads(data[len(FIRST_LINE) : end])
        if not isinstance(manifest, dict):
            raise ValueError("its manifest is not a JSON object")
    except (ValueError, RecursionError) as error:
        raise CertificateError(f"{os.fspath(path)} is not a certificate: {error}") from None
    return Certificate(manifest, data[end + 1 :])


@dataclass(frozen=True)
class Known:
    """What certificates may speak about: model files by their SHA-256, as the checker reads them, and formula texts."""

    models: Mapping[str, bytes] = field(default_factory=dict)
    formulas: Mapping[str, bytes] = field(default_factory=dict)
    networks: dict[str, _checker.Network] = field(default_factory=dict)

    def network(self, digest: str) -> _checker.Network:
        """Read once, whatever number of certificates asks for it."""
        if digest not in self.networks:
            self.networks[digest] = _checker.Network(self.models[digest])
        return self.networks[digest]


def know(models: Sequence[bytes] = (), formulas: Sequence[bytes] = ()) -> Known:
    """Model files and formula texts by their digests."""
    return Known(
        {hashlib.sha256(model).hexdigest(): model for model in models},
        {hashlib.sha256(formula).hexdigest(): formula for formula in formulas},
    )


def refusal(certificate: Certificate, known: Known) -> str | None:
    """Why the certificate does not hold; None if it does."""
    manifest = certificate.manifest
    try:
        proof = expanded(certificate)
        if certificate.verdict == "unsatisfiable":
            if manifest["formula"] not in known.formulas:
                return f"it is about another formula, of digest {manifest['formula']}"
            _checker.check_unsatisfiable(known.formulas[manifest["formula"]], proof)
            return None
        missing = [one for one in manifest["models"] if one not in known.models]
        if missing:
            return f"it is about another model, of digest {missing[0]}"
        networks = [known.network(one) for one in manifest["models"]]
        question = manifest["question"]
        if manifest["query"] != asked(question).digest(manifest["models"]):
            return "the question is not the one that its digest names"
        if certificate.verdict == "robust":
            _checker.check_robust(networks, for_checker(question), proof)
        elif certificate.verdict == "falsified":
            _checker.check_falsified(networks, for_checker(question), manifest["counterexample"])
        else:
            return f"there is no verdict {certificate.verdict!r}"
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        return f"{type(error).__name__} {error}" if isinstance(error, KeyError) else str(error)
    return None


def for_checker(question: Mapping[str, Any]) -> _checker.Question:
    """A question as ``stated``, in the checker's form: part of what has to be trusted."""
    budget, condition = question["budget"], question["condition"]
    kind = condition["kind"]
    return _checker.Question(
        shape=question["shape"],
        image=question["image"],
        low=question["low"],
        high=question["high"],
        norm="" if budget is None else budget["norm"],
        limit=0 if budget is None else budget["limit"],
        weight=[] if budget is None or budget["weight"] is None else budget["weight"],
        kind=kind,
        label=0 if kind == "agree" else condition["target" if kind == "avoids" else "label"],
        strictly=kind == "keeps" and condition["strictly"],
    )


def expanded(certificate: Certificate) -> bytes:
    """The proof's steps; ValueError where the digest, the length or the compression is wrong."""
    said = certificate.manifest["proof"]
    if said is None:
        return b""
    if hashlib.sha256(certificate.proof).hexdigest() != said["sha256"]:
        raise ValueError("the proof is not the one that its digest names: the file is damaged or cut off")
    try:
        steps = zlib.decompress(certificate.proof)
    except zlib.error as error:
        raise ValueError(f"the proof cannot be decompressed: {error}") from None
    if len(steps) != said["bytes"]:
        raise ValueError(f"the proof has {len(steps)} bytes, not {said['bytes']}")
    return steps
