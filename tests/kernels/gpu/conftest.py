"""Tests of the kernels for GPUs, on a machine that has none.

Triton decides when it is imported whether kernels are compiled or interpreted, for the whole process. Tests that
compile need the one and tests in interpreted/ the other, so the latter are collected only when TRITON_INTERPRET=1, and
test_interpreter.py runs them in a process of their own.
"""

import os

if os.environ.get("TRITON_INTERPRET") != "1":
    collect_ignore = ["interpreted"]
