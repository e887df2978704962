"""The main job from images to simulated hardware, each link checked, and its report."""

from bnnhw.pipeline.chain import Link, Result, Robustness, Settings, evaluate, run, summarise_records
from bnnhw.pipeline.decider import Decider
from bnnhw.pipeline.report import write as write_report

__all__ = [
    "Decider",
    "Link",
    "Result",
    "Robustness",
    "Settings",
    "evaluate",
    "run",
    "summarise_records",
    "write_report",
]
