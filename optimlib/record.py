"""What a run leaves behind: the path, and for an objective the values along it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


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
