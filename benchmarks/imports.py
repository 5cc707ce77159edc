"""How long an import takes in a new process."""

from __future__ import annotations

import functools
import subprocess

from benchmarks.measure import Case, one_thread, python

_TIMED = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def cases(tiny):
    """Return the case of imports."""
    return [Case("import optimlib / import numpy", _imports, target=1.15, own_clock=True)]


def _imports():
    return tuple(functools.partial(_seconds, name) for name in ("optimlib", "numpy"))


def _seconds(name):
    command = python("-c", _TIMED.format(name))
    done = subprocess.run(command, env=one_thread(), capture_output=True, text=True, check=True)
    return float(done.stdout)
