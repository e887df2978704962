"""The GPU suite runs end to end in Triton's interpreter: what it checks on a GPU holds, and results are written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

SUITE = Path(__file__).parents[3] / "benchmarks" / "gpu_suite.py"


def suite(folder: Path, *arguments: str, interpret: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"TRITON_INTERPRET": interpret, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, str(SUITE), "--out", str(folder), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_every_section_runs_without_a_gpu(tmp_path):
    done = suite(tmp_path, "--tiny", interpret="1")
    assert done.returncode == 0, done.stdout + done.stderr
    sections = json.loads((tmp_path / "results.json").read_text())["sections"]
    assert len(sections) == 11
    assert all(section["checks"] > 0 for name, section in sections.items() if name.startswith("check"))
    assert not any(section["error"] for section in sections.values())
    # No time of an interpreter is written.
    text = (tmp_path / "results.md").read_text()
    assert " us " not in text
    assert "TOPS" not in text


def test_without_a_gpu_it_says_what_to_do(tmp_path):
    done = suite(tmp_path, interpret="0")
    assert done.returncode == 2
    assert done.stderr == "there is no GPU: use --tiny with TRITON_INTERPRET=1 to run everything once\n"
