"""Whole runs, sweeps, and parameters in containers."""

from __future__ import annotations

import functools

import numpy as np

from benchmarks import textbook
from benchmarks.measure import Case
from optimlib import Adam


def cases(tiny):
    """Return the cases of runs, sweeps and trees."""
    steps, runs, leaves = (5, 10, 3) if tiny else (1000, 1000, 50)
    return [
        *(
            Case(
                f"Adam, {steps} recorded steps, n={n}: run / lean loop",
                functools.partial(_run, n, steps),
                target=1.2,
            )
            for n in (2, 100)
        ),
        Case(
            f"{runs} runs of {steps // 5} steps, n=2: one sweep / a loop of runs",
            functools.partial(_sweep, runs, steps // 5),
        ),
        Case(
            f"dict of {leaves} leaves of 50: pure / textbook, leaf by leaf",
            functools.partial(_leaves, leaves, False, False),
        ),
        Case(
            f"dict of {leaves} leaves of 50: in place / pure",
            functools.partial(_leaves, leaves, True, False),
            target=1.05,
        ),
        Case(
            f"dict of {leaves} leaves of 50, views of one vector: in place / pure",
            functools.partial(_leaves, leaves, True, True),
            target=1.05,
        ),
    ]


def _run(n, steps):
    curvature, x0 = np.linspace(0.1, 1.0, n), np.full(n, 3.0)

    def grad(x):
        return curvature * x

    return (
        lambda: Adam(lr=0.1).run(grad, x0, steps).path,
        lambda: textbook.adam_path(grad, x0, steps, lr=0.1),
    )


def _sweep(runs, steps):
    curvature, x0 = np.array([0.1, 1.0]), np.array([-7.0, 2.0])
    rates = np.geomspace(1e-3, 1.0, runs)

    def grad(x):
        return curvature * x

    def loop():
        return np.array([Adam(lr=rate).run(grad, x0, steps).x for rate in rates])

    return lambda: Adam(lr=rates).run(grad, np.tile(x0, (runs, 1)), steps).x, loop


def _leaves(leaves, in_place, views):
    def tree(value):
        if views:
            return dict(enumerate(np.full(leaves * 50, value).reshape(leaves, 50)))
        return {i: np.full(50, value) for i in range(leaves)}

    opt, pure, x, y, g = Adam(), Adam(), tree(1.0), tree(1.0), tree(0.5)
    if in_place:
        return lambda: opt.step(x, g, out=x), lambda: pure.step(y, g)
    steps = {i: textbook.adam(leaf) for i, leaf in y.items()}
    return lambda: opt.step(x, g), lambda: {i: step(g[i]) for i, step in steps.items()}
