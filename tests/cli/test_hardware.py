"""The hardware commands: a rate becomes a folding, equivalence is told part by part, bad options end in 2."""

import json

import pytest
from hardware_models import QUICK, forge


@pytest.fixture
def exported(call, digits_model, tmp_path):
    folder = tmp_path / "hw"
    code, out, _ = call(
        "export", digits_model[0], "--out", folder, "--target-fps", 500000, "--clock-mhz", 100, "--json"
    )
    assert code == 0
    return folder, json.loads(out)


def test_a_rate_is_met(call, exported, digits_model, tmp_path):
    _, told = exported
    assert told["cycles_per_image"] <= 200
    assert told["images_per_second"] == pytest.approx(100e6 / told["cycles_per_image"])
    code, out, _ = call("export", digits_model[0], "--out", tmp_path / "slow", "--target-cycles", 10**6, "--json")
    assert code == 0
    assert json.loads(out)["cycles_per_image"] > told["cycles_per_image"]


def test_equivalence_is_told_part_by_part(call, exported):
    folder, _ = exported
    code, out, _ = call("prove-equivalence", folder, "--json")
    obligations = json.loads(out)
    assert code == 0
    assert all(one["holds"] for one in obligations)
    assert {"quantize", "scores", "memories", "layer 0"} <= {one["part"] for one in obligations}
    (folder / "bias.mem").write_text("0\n")
    code, out, err = call("prove-equivalence", folder)
    assert (code, out) == (2, "")
    assert "bias.mem" in err


def test_a_simulation_names_the_first_wrong_bit(call, exported, monkeypatch):
    monkeypatch.setattr("bnnhw.hw_export.sim.verilator.COMPILER_FLAGS", QUICK)
    folder, _ = exported
    code, out, _ = call("simulate", folder, "--count", 9, "--backpressure", 2, "--taps", "--json")
    told = json.loads(out)
    assert (code, told["images"], told["mismatches"], told["first_wrong"]) == (0, 9, 0, None)
    assert told["tapped"] == 9 * (64 + 4 * 16 + 12 + 10)
    # The largest threshold of every pixel, one less: a pixel of 8 has another level.
    forge(folder, "quantizer.mem", lambda text: f"{int(text, 16) - (1 << 6):x}\n")
    code, out, _ = call("simulate", folder, "--count", 9, "--taps", "--json")
    told = json.loads(out)
    assert (code, told["first_wrong"]["layer"], told["first_wrong"]["image"]) == (1, "level", 0)
    assert (told["first_wrong"]["expected"], told["first_wrong"]["got"]) == (1, 2)
    code, out, _ = call("simulate", folder, "--count", 9, "--taps")
    assert code == 1
    assert "level, image 0, channel 0" in out.replace("\n", "")
    for options, word in ((("--simulator", "modelsim"), "cxxrtl"), (("--waves", folder / "waves.png"), "*.vcd")):
        code, out, err = call("simulate", folder, *options)
        assert (code, out) == (2, "")
        assert word in err


def test_bad_options_are_one_sentence(call, digits_model, tmp_path):
    for options, word in (
        (("--target-fps", 5, "--target-cycles", 5), "--target-cycles"),
        (("--style", "baroque"), "baroque"),
    ):
        code, out, err = call("export", digits_model[0], "--out", tmp_path / "hw", *options)
        assert (code, out) == (2, "")
        assert word in err
        assert "Traceback" not in err
    assert not (tmp_path / "hw").exists()
    code, _, err = call("synth", tmp_path)
    assert code == 2
    assert "manifest.json" in err
