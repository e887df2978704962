"""Tables of measured choices: read and written whole, refused if malformed, and asked by the dispatchers; autotune
never lets a candidate win that is wrong."""

import json
import stat

import pytest

pytest.importorskip("triton")
torch = pytest.importorskip("torch")

from bnnhw.kernels.gpu import dispatch, tuned
from bnnhw.kernels.gpu.autotune import Candidate, best
from bnnhw.kernels.gpu.gemm_tensor_core import CONFIGURATIONS
from bnnhw.kernels.gpu.tuned import Choice, Table, key, read, slug, table_for, write

TABLE = Table("NVIDIA H200", {"torch": "2.11"}, {key("gemm", "bits", 4096, 4000, 1): Choice("int8", "64x64", 12.5)})


def test_a_table_survives_the_file(tmp_path):
    path = tmp_path / "table.json"
    write(TABLE, path)
    assert read(path) == TABLE
    assert [p.name for p in tmp_path.iterdir()] == ["table.json"]
    # Not only whoever measured may read it.
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_shapes_are_rounded_up():
    assert key("gemm", "bits", 4096, 4000, 1) == "gemm bits 4096 4096 1"
    assert key("conv", "sums", 4097, 3, 257) == "conv sums 8192 4 512"
    assert slug("NVIDIA H200 (SXM)") == "nvidia-h200-sxm"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a table of format 1"),
        ('{"format": 2}', "is not a table of format 1"),
        ('{"format": 1, "gpu": "x", "versions": {}}', "lacks or misnames 'choices'"),
        ('{"format": 1, "gpu": "x", "versions": {}, "choices": {"a": {"backend": "b"}}}', "lacks or misnames 'tile'"),
        (json.dumps({"format": 1, "gpu": "x", "versions": {}, "choices": {"a": {"backend": "b", "tile": "big",
         "microseconds": 1}}}), "lacks or misnames tile 'big'"),
        (json.dumps({"format": 1, "gpu": "x", "versions": {}, "choices": {"a": {"backend": None, "tile": "",
         "microseconds": 1}}}), "lacks or misnames back end None"),
        (json.dumps({"format": 1, "gpu": "x", "versions": {}, "choices": {"gemm bits 4096 4000 1": {"backend": "int8",
         "tile": "", "microseconds": 1}}}), "lacks or misnames shape 'gemm bits 4096 4000 1'"),
    ],
)  # fmt: skip
def test_malformed_tables_are_refused(tmp_path, text, message):
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read(path)
    with pytest.raises(ValueError, match="cannot be read"):
        read(tmp_path / "none.json")


def test_which_table(tmp_path, monkeypatch):
    monkeypatch.setattr(tuned, "TABLES", tmp_path)
    write(TABLE, tmp_path / "nvidia-h200.json")
    table_for.cache_clear()
    assert table_for("NVIDIA H200") == TABLE
    assert table_for("NVIDIA A100") is None
    assert table_for("NVIDIA A100", str(tmp_path / "nvidia-h200.json")) == TABLE
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    device = torch.device("cpu")
    assert dispatch.measured(device, "gemm", "bits", 4000, 4096, 1) == Choice("int8", "64x64", 12.5)
    assert dispatch.measured(device, "gemm", "sums", 4000, 4096, 1) is None
    table_for.cache_clear()


def test_which_tile():
    named = dispatch.configuration_of(CONFIGURATIONS, "128x256", 1, 1, 132)
    assert (named.rows, named.columns) == (128, 256)
    for tile in ("", "7x7"):
        assert dispatch.configuration_of(CONFIGURATIONS, tile, 1, 1, 132) is CONFIGURATIONS[0]


def test_the_fastest_that_is_right_wins():
    expected = torch.tensor([[1, 2], [3, 4]], dtype=torch.int32)
    wrong = expected.clone()
    wrong[1, 0] = 7
    times = {"slow": 3.0, "right": 2.0, "wrong": 1.0}
    results = {"slow": expected, "right": expected, "wrong": wrong}
    candidates = [
        Candidate(name, "8x8", lambda name=name: (name, results[name]), lambda made: made[1]) for name in times
    ]
    chosen, failed = best("gemm", expected, candidates, lambda run: times[run()[0]])
    assert chosen == Choice("right", "8x8", 2.0)
    assert [str(one) for one in failed] == ["gemm: wrong 8x8 is wrong at [1, 0]: 7, not 3"]
    assert best("gemm", expected, candidates[2:], lambda run: 1.0)[0] is None


def test_what_the_last_candidate_left_does_not_help_the_next():
    expected = torch.arange(6, dtype=torch.int32).reshape(2, 3)
    out = torch.empty_like(expected)
    candidates = [
        Candidate("right", "", lambda: out.copy_(expected), out=out),
        Candidate("half", "", lambda: out[0].copy_(expected[0]), lambda row: out, out),
        Candidate("nothing", "", lambda: torch.empty(2, 3, dtype=torch.int32)),
    ]
    chosen, failed = best("gemm", expected, candidates, lambda run: 1.0)
    assert chosen is not None
    assert chosen.backend == "right"
    assert [str(one) for one in failed] == [
        f"gemm: half is wrong at [1, 0]: {-(2**31)}, not 3",
        f"gemm: nothing is wrong at [0, 0]: {2**31 - 1}, not 0",
    ]
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_candidate_that_fails_is_named_and_the_others_go_on():
    expected = torch.zeros(2, 3, dtype=torch.int32)

    def fail() -> None:
        raise RuntimeError("out of resource: shared memory\nRequired: 1")

    candidates = [
        Candidate("large", "8x8", fail),
        Candidate("narrow", "", lambda: expected[:, :2]),
        Candidate("long", "", lambda: expected.long()),
        Candidate("right", "", expected.clone),
    ]
    chosen, failed = best("gemm", expected, candidates, lambda run: 1.0)
    assert chosen == Choice("right", "", 1.0)
    assert [str(one) for one in failed] == [
        "gemm: large 8x8 cannot run: RuntimeError: out of resource: shared memory",
        "gemm: narrow makes torch.int32 [2, 2], not torch.int32 [2, 3]",
        "gemm: long makes torch.int64 [2, 3], not torch.int32 [2, 3]",
    ]
