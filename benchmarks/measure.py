"""One measurement: two functions in turns, and the median of the ratios of their times."""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import importlib.util
import os
import pkgutil
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import benchmarks

# One turn lasts at least this long, so that the clock's own time and grain do not count.
_TURN = 0.01
_FEWEST, _MOST = 5, 301
_LIBRARIES = ("numpy", "numba", "sympy", "scipy", "threadpoolctl")


@dataclass(frozen=True)
class Case:
    """Something to be measured.

    Attributes
    ----------
    name : str
        What is measured against what: ``"Adam step, n=100, float32: in place / textbook"``.
    make : callable
        ``make()`` returns two functions without arguments: ours and the reference. It is called in
        a fresh process, and only there, so it may import and allocate.
    target : float, optional
        The ratio that is aimed at, or less.
    needs : tuple of str
        Modules without which the case is left out.
    own_clock : bool, default False
        The functions return the seconds that count; otherwise their calls are timed.
    lacks : callable, optional
        ``lacks()`` lists what else is needed and not there.
    """

    name: str
    make: Callable
    target: float | None = None
    needs: tuple = ()
    own_clock: bool = False
    lacks: Callable = list

    def lacking(self) -> list[str]:
        """Return what is needed and not there: modules, and what `lacks` finds."""
        absent = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return absent or self.lacks()


def discovered(tiny: bool) -> dict[str, list[Case]]:
    """Return the cases of every module of this folder that has some, by the module's name."""
    found = {}
    for module in pkgutil.iter_modules(benchmarks.__path__):
        if module.name != "__main__":
            cases = getattr(importlib.import_module(f"benchmarks.{module.name}"), "cases", None)
            if cases is not None:
                found[module.name] = cases(tiny)
    return found


def measured(case: Case, seconds: float) -> dict:
    """Measure a case for about so many seconds; return medians, and quartiles of the ratio."""
    ours, reference = (_Clock(function, case.own_clock) for function in case.make())
    ours.calibrate()
    reference.calibrate()
    ratios, end = [], time.perf_counter() + seconds
    gc.disable()
    try:
        while len(ratios) < _FEWEST or (time.perf_counter() < end and len(ratios) < _MOST):
            # Who goes second finds the caches as the first has left them: take turns at that too.
            pair = (ours, reference) if len(ratios) % 2 else (reference, ours)
            for clock in pair:
                clock.turn()
            ratios.append(ours.times[-1] / reference.times[-1])
            gc.collect()
    finally:
        gc.enable()
    low, middle, high = statistics.quantiles(ratios, n=4)
    return dict(
        ratio=middle,
        quartiles=[low, high],
        ours=statistics.median(ours.times),
        reference=statistics.median(reference.times),
        rounds=len(ratios),
        calls=[ours.calls, reference.calls],
    )


class _Clock:
    def __init__(self, function, own_clock):
        self.function, self.own_clock = function, own_clock
        self.calls, self.times = 1, []

    def calibrate(self):
        """Call it once to warm up, then find how many calls make a turn."""
        self._seconds()
        while not self.own_clock:
            taken = self._seconds()
            if taken >= _TURN:
                return
            self.calls = max(2 * self.calls, int(self.calls * _TURN / max(taken, 1e-9)))

    def turn(self):
        self.times.append(self._seconds() / self.calls)

    def _seconds(self):
        function = self.function
        if self.own_clock:
            return function()
        calls = range(self.calls)
        start = time.perf_counter()
        for _ in calls:
            function()
        return time.perf_counter() - start


def machine() -> dict:
    """Return what the numbers depend on: processor, system, and versions."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    facts = dict(
        cpu=_cpu(),
        cores=os.cpu_count(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        blas=f"{blas.get('name')} {blas.get('version')}",
    )
    for name in _LIBRARIES:
        if importlib.util.find_spec(name):
            facts[name] = importlib.metadata.version(name)
    if "threadpoolctl" in facts:
        from threadpoolctl import threadpool_info

        facts["blas_kernels"] = sorted({str(p.get("architecture")) for p in threadpool_info()})
    return facts


def _cpu():
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def duration(seconds: float) -> str:
    """Return a time with three digits and a fitting unit.

    >>> duration(1.234e-5), duration(0.2)
    ('12.3 µs', '200 ms')
    """
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if seconds >= unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds / 1e-9:.3g} ns"


def one_thread() -> dict:
    """Return the environment of a process that computes on one thread."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, "1"), "PYTHONHASHSEED": "0"}
    # An import is of compiled modules, as it is after an installation.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def python(*arguments) -> list[str]:
    """Return the command of this Python with arguments."""
    return [sys.executable, *map(str, arguments)]
