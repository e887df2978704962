"""One archive that holds a model, its hardware, the proofs, the reports and the verdicts, and can be checked alone.

`pack` writes a zip with everything bound to one digest; equal contents give equal bytes. `check` trusts nothing in it
but the model: hashes are taken again, the hardware is proven again from its files and its vectors are simulated again,
every counterexample is run through reference inference. Verdicts of robustness are listed as stated; they cannot be
checked before they carry certificates.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from bnnhw.hw_export import HardwareError, prove_equivalence, simulate, synthesize, verify_manifest
from bnnhw.model import IntegerModel, digest, reference
from bnnhw.model.file import write_atomically
from bnnhw.verify.record import read as read_records

FORMAT, VERSION = "bnnhw-bundle", 1
INDEX = "bundle.json"
LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The only time in the archive, so that equal contents are equal bytes."""


@dataclass(frozen=True)
class Finding:
    """One line of a check. holds: whether it was found to be so; None for what is only stated in the archive."""

    what: str
    holds: bool | None
    detail: str


def pack(hardware: Path, out: Path, verdicts: Path | None = None, family: str | None = "xc7") -> dict[str, Any]:
    """Prove, simulate and count the export in ``hardware`` and write the archive ``out``; returns its index.

    verdicts: a results file of `bnnhw verify` for the same model; its counterexamples go along. family: the device
    family that is counted for, None for no count. HardwareError where a proof or the simulation fails.
    """
    model, manifest = verify_manifest(hardware)
    contents = {f"hardware/{name}": (hardware / name).read_bytes() for name in (*manifest["files"], "manifest.json")}
    obligations = prove_equivalence(hardware)
    if failed := [one for one in obligations if not one.holds]:
        raise HardwareError(f"{hardware}: {failed[0].part} is not proven ({failed[0].detail}): export the model again")
    contents["proofs.json"] = _json([{**one.as_json(), "seconds": None} for one in obligations])
    simulated = _simulate(hardware, model, manifest)
    if not simulated.holds:
        raise HardwareError(f"{hardware}: {simulated.detail}")
    if family is not None:
        counted = synthesize(hardware, family).as_json()
        contents["synthesis.json"] = _json({**counted, "seconds": None})
    if verdicts is not None:
        contents["verification/results.jsonl"] = verdicts.read_bytes()
        for record in read_records(verdicts):
            if record.data["model"] != manifest["model_digest"]:
                raise ValueError(f"{verdicts} holds verdicts about another model: give those of {hardware}'s")
            if (stem := record.data.get("counterexample")) is not None:
                name = f"counterexamples/{stem}.npz"
                contents[f"verification/{name}"] = (verdicts.parent / name).read_bytes()
    index = {
        "format": FORMAT,
        "version": VERSION,
        "model_digest": manifest["model_digest"],
        "made_by": f"bnnhw {version('bnnhw')}",
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(contents.items())},
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [(INDEX, _json(index)), *sorted(contents.items())]:
            archive.writestr(zipfile.ZipInfo(name, LONG_AGO), data, zipfile.ZIP_DEFLATED)
    write_atomically(out, buffer.getvalue())
    return index


def check(path: Path) -> list[Finding]:
    """Everything that can be found out from the archive alone. ValueError where it is no bundle, or a damaged one."""
    contents = _contents(path)
    index = json.loads(contents.pop(INDEX))
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for name, data in contents.items():
            target = (root / name).resolve()
            if not target.is_relative_to(root.resolve()):
                raise ValueError(f"{path} holds a file outside itself, {name}: do not trust it")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        hardware = root / "hardware"
        model, manifest = verify_manifest(hardware)
        found = [Finding("files", True, f"{len(contents)} files are those that the index states")]
        same = digest(model) == index["model_digest"] == manifest["model_digest"]
        found.append(Finding("model", same, f"SHA-256 {digest(model)}"))
        found += [
            Finding(f"{one.part}: {one.claim}", one.holds, f"{one.how}: {one.detail}")
            for one in prove_equivalence(hardware)
        ]
        found.append(_simulate(hardware, model, manifest))
        if "synthesis.json" in contents:
            counted = json.loads(contents["synthesis.json"])
            detail = f"{counted['lookup_tables'] + counted['memory_tables']} lookup tables, {counted['family']}"
            found.append(Finding("synthesis", None, f"stated: {detail}"))
        if "verification/results.jsonl" in contents:
            found += _verdicts(root / "verification", model)
    return found


def _contents(path: Path) -> dict[str, bytes]:
    """Every file of the archive by name, each with the hash that the index states."""
    try:
        with zipfile.ZipFile(path) as archive:
            contents = {name: archive.read(name) for name in archive.namelist()}
        index = json.loads(contents[INDEX])
        listed: dict[str, str] = index["files"]
        known = index["format"] == FORMAT and index["version"] == VERSION
    except OSError as error:
        raise ValueError(f"cannot read {path} ({error.strerror}): give a file that `bnnhw bundle make` wrote") from None
    except (zipfile.BadZipFile, zipfile.LargeZipFile, KeyError, TypeError, ValueError):
        raise ValueError(f"{path} is not a whole bundle: make it again") from None
    if not known:
        raise ValueError(f"{path} is not a bundle of version {VERSION}: make it again")
    if odd := set(listed) ^ (set(contents) - {INDEX}):
        raise ValueError(f"{path}: {min(odd)} is in the archive or in its index only: make it again")
    for name, stated in listed.items():
        if hashlib.sha256(contents[name]).hexdigest() != stated:
            raise ValueError(f"{path}: {name} is not the file that the index states: make it again")
    return contents


def _simulate(hardware: Path, model: IntegerModel, manifest: dict[str, Any]) -> Finding:
    """Run the stored vectors again, with stalls."""
    what = "simulation"
    if "vectors/stimulus.mem" not in manifest["files"]:
        return Finding(what, True, "no vectors are stored")
    beats = [int(line, 16) for line in (hardware / "vectors/stimulus.mem").read_text().split()]
    lane, values = manifest["lane"], manifest["values"]
    pixels = np.array([beat >> (lane * place) & ((1 << lane) - 1) for beat in beats for place in range(values)])
    channels, rows, columns = model.quantizer.shape
    images = pixels.reshape(-1, rows, columns, channels).transpose(0, 3, 1, 2) + model.quantizer.pixel_min
    stored = [int(line, 16) for line in (hardware / "vectors/response.mem").read_text().split()]
    scores = reference.scores(model, images)
    expected = np.concatenate([scores, reference.classify(scores)[:, None]], axis=1).astype(np.uint32)
    if expected.ravel().tolist() != stored:
        return Finding(what, False, "the stored answers are not the model's")
    ran = simulate(hardware, images, backpressure=1)
    return Finding(what, ran.mismatches == 0, f"{ran.images} images with stalls, {ran.mismatches} mismatches")


def _verdicts(folder: Path, model: IntegerModel) -> list[Finding]:
    records = read_records(folder / "results.jsonl")
    wrong = ""
    replayed = 0
    for record in records:
        if record.data["model"] != digest(model):
            wrong = f"image {record.data['index']} is about another model"
        if (stem := record.data.get("counterexample")) is None:
            continue
        with np.load(folder / "counterexamples" / f"{stem}.npz") as saved:
            image, original, predicted = saved["image"], saved["original"], int(saved["predicted"])
        asked = record.data["property"]
        if int(reference.predict(model, image[None])[0]) != predicted or predicted == record.data["label"]:
            wrong = f"image {record.data['index']}'s counterexample gets another class"
        elif asked.get("distance") == "linf" and np.abs(image - original).max() > asked["limit"]:
            wrong = f"image {record.data['index']}'s counterexample is too far away"
        replayed += 1
    robust = sum(record.status == "robust" for record in records)
    return [
        Finding("counterexamples", not wrong, wrong or f"{replayed} replayed"),
        Finding("robustness", None, f"stated: {robust} of {len(records)} queries, without certificates"),
    ]


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()
