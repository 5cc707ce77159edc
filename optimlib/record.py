"""What a run leaves behind: the path, and for an objective the values along it."""

from __future__ import annotations

import reprlib
from dataclasses import dataclass, field

import numpy as np

from .hyper import an_instance


@dataclass(frozen=True)
class Run:
    """A path of iterates.

    Attributes
    ----------
    x
        Last iterate, structured like the start.
    path
        Recorded iterates, structured like the start, on a new first axis.
    t : array of int
        The step count of each recorded iterate; 0 is the start.
    rule : str
        The optimizer, as it prints itself.
    """

    x: object
    path: object
    t: np.ndarray
    rule: str

    def __repr__(self):
        return f"{type(self).__name__}({self.rule}, {int(self.t[-1] - self.t[0])} steps)"


@dataclass(frozen=True, repr=False)
class Record(Run):
    """A path on an objective, with what the chapters plot.

    Attributes
    ----------
    objective
        The objective that was minimised.
    value : array
        f at each recorded iterate.
    gap : array or None
        f minus its smallest value, where that is known.
    distance : array or None
        Euclidean distance to the minimiser, where that is known.
    """

    objective: object = field(default=None)
    value: np.ndarray = field(default=None)
    gap: np.ndarray | None = field(default=None)
    distance: np.ndarray | None = field(default=None)


def minimize(objective, optimizer, steps: int = 200, start=None, **options) -> Record:
    """Run a fresh copy of an optimizer on an objective and record what the chapters plot.

    Parameters
    ----------
    objective
        Has ``value``, ``gradient`` (or ``sampler``, which returns the gradient function of one
        run), ``start``, and, where known, ``minimum`` and ``minimiser`` or ``minimisers``; see
        `optimlib.objectives`.
    optimizer : Optimizer
        Its hyperparameters are used; its own steps and memory are left alone.
    steps : int, default 200
    start : array, optional
        Defaults to the objective's start. In a sweep, one point serves every run; or give a point
        for each.
    **options
        Passed to `Optimizer.run`.

    Returns
    -------
    Record

    Raises
    ------
    TypeError
        If one of the two is something else, a class, or in the other's place.

    Examples
    --------
    >>> from optimlib import SGD, minimize
    >>> from optimlib.objectives import ravine
    >>> minimize(ravine, SGD(lr=0.5), steps=1).x
    array([-6.65,  0.  ])
    """
    _check_arguments(objective, optimizer, start)
    opt = optimizer.fresh()
    start = np.asarray(objective.start if start is None else start, dtype=float)
    if start.ndim == 1:
        start = np.tile(start, (*opt.sweep_shape, 1))
    sampler = getattr(objective, "sampler", None)
    run = opt.run(objective.gradient if sampler is None else sampler(), start, steps, **options)
    minimum = getattr(objective, "minimum", None)
    with np.errstate(all="ignore"):  # rows of a sweep may diverge
        value = objective.value(run.path)
        gap = None if minimum is None else value - minimum
        distance = _distance(run.path, objective)
    return Record(
        x=run.x,
        path=run.path,
        t=run.t,
        rule=run.rule,
        objective=objective,
        value=value,
        gap=gap,
        distance=distance,
    )


def _check_arguments(objective, optimizer, start):
    from .base import Optimizer

    if isinstance(objective, Optimizer):
        raise TypeError(
            "minimize: the objective comes first, the optimizer second: minimize(objective, "
            f"optimizer); got an optimizer first, {objective!r}."
        )
    if not isinstance(optimizer, Optimizer):
        raise TypeError(an_instance("minimize: the optimizer", optimizer))
    has = {name for name in ("value", "gradient", "sampler") if hasattr(objective, name)}
    is_class = isinstance(objective, type)
    if is_class or "value" not in has or has == {"value"}:
        given = f"the class {objective.__name__}" if is_class else reprlib.repr(objective)
        raise TypeError(
            f"minimize: the objective is {given}; expected an object with functions value and "
            "gradient, such as those of optimlib.objectives. With a gradient alone, use "
            "run(grad, x0, steps) of the optimizer."
        )
    if start is None and not hasattr(objective, "start"):
        raise TypeError(f"minimize: {reprlib.repr(objective)} has no start; pass start=.")


def _distance(path, objective):
    points = getattr(objective, "minimisers", None)
    if points is None:
        point = getattr(objective, "minimiser", None)
        points = () if point is None else (point,)
    if len(points) == 0:
        return None
    apart = [np.linalg.norm(path - np.asarray(point), axis=-1) for point in points]
    return np.min(apart, axis=0)
