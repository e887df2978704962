"""The command line: a thin layer over the public Python API.

Exit codes, the same for every command: 0 done and everything agreed; 1 a link of the chain disagreed or a simulation
mismatched; 2 bad input (one sentence on stderr says what, where and what to do); 3 done, but some query is unknown;
70 a defect of bnnhw (two exact routes disagree); 130 interrupted: run the same command again to continue.
"""

from __future__ import annotations

import sys

import typer

from bnnhw.cli import (
    bundle,
    certify,
    compare,
    evaluate,
    hardware,
    import_,
    info,
    predict,
    run,
    solve,
    train,
    verify,
)
from bnnhw.cli.console import say_error

app = typer.Typer(
    help="Train a binarized network, prove properties of its exact integer model, deploy that same model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("import")(import_.import_model)
app.command("info")(info.info)
app.command("verify")(verify.verify)
app.command("compare")(compare.compare)
app.command("solve")(solve.solve)
app.command("export")(hardware.export)
app.command("simulate")(hardware.simulate)
app.command("synth")(hardware.synth)
app.command("prove-equivalence")(hardware.prove_equivalence)
app.command("qonnx")(hardware.qonnx)
app.add_typer(bundle.app, name="bundle")
app.add_typer(certify.app, name="certify")


def main() -> None:
    """Entry point of the ``bnnhw`` command."""
    from bnnhw.verify import UnsoundnessError

    try:
        app()
    except SystemExit as end:
        if end.code == 130:
            say_error("interrupted: run the same command again to continue")
        raise
    except UnsoundnessError as error:
        say_error(f"internal disagreement, please report it with the model and the image: {error}")
        sys.exit(70)
    except (ValueError, OSError) as error:
        say_error(str(error))
        sys.exit(2)
