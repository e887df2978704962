"""Commands called as a user would, and a model to call them on."""

import sys

import numpy as np
import pytest

from bnnhw.cli import main
from bnnhw.model import Conv, Dense, IntegerModel, Output, Quantizer, save


@pytest.fixture
def call(monkeypatch, capsys):
    """Run ``bnnhw`` with arguments: (exit code, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["bnnhw", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        printed = capsys.readouterr()
        return end.value.code or 0, printed.out, printed.err

    return run


@pytest.fixture
def digits_model(tmp_path):
    """A random model of the digits' shape, saved."""
    path = tmp_path / "net.bnn"
    model = random_digits_model(1)
    save(model, path)
    return path, model


def random_digits_model(seed):
    rng = np.random.default_rng(seed)
    conv = Conv(rng.integers(-1, 2, (4, 1, 3, 3)), rng.integers(-1, 2, 4), [False, True, False, False], (2, 2), (1, 1))
    dense = Dense(rng.integers(-1, 2, (12, 64)), rng.integers(-2, 3, 12), rng.random(12) < 0.5)
    output = Output(rng.integers(-1, 2, (10, 12)), rng.integers(-9, 10, 10), 2)
    return IntegerModel(Quantizer((1, 8, 8), [4, 9], 0, 16), (conv, dense), output)
