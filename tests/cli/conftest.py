"""Commands called as a user would, and a model to call them on."""

import sys

import pytest
from random_models import random_digits_model

from bnnhw.cli import main
from bnnhw.model import save


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
