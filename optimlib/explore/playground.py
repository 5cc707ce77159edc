"""The playground: any of the rules race on any of the planar objectives.

In a built page Bokeh draws the race and `playground.js` drives it with functions printed by SymPy;
a kernel shows ipywidgets. Both race the same `Walk`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from .. import objectives
from ..rules import RULES
from .description import Curves, Explorable, Plane, Walk, _short

#: The rules that race: those that treat each coordinate alone.
RACING = {name: rule for name, rule in RULES.items() if rule.elementwise}
#: Step sizes that are tried for each rule on each objective. None is a round number, by which a
#: rule of constant steps could land on a minimiser by luck.
TRIED = (*(float(f"{m}e{p}") for p in range(-4, 1) for m in (1.5, 3, 7)), 15.0)
#: Steps of a trial, and how many of its last losses count.
TRIAL, LAST = 200, 50
#: Standard deviations of the noise on each partial derivative.
NOISES = (0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50)
MOST_STEPS = 500
LARGEST_SEED = 2**32 - 1
#: What is set at first.
FIRST = SimpleNamespace(objective="Rosenbrock", rules=("SGD", "Momentum", "AdaGrad", "Adam"))
#: Losses outside of this are not drawn: below is rounding, above is explosion.
LOSSES = (1e-16, 1e8)
QUESTION = "Which rule is ahead, and for how long?"


@dataclass(frozen=True)
class Race:
    """Some rules on one objective from one start; `Playground.race` makes it.

    Parameters
    ----------
    objective : Objective
    rules : mapping of str to Optimizer
    start : (float, float)
    steps : int
    noise : float
        Standard deviation of normal noise on each partial derivative.
    seed : int
        Seed of that noise, which is the same for every rule.
    """

    objective: objectives.Objective
    rules: Mapping
    start: tuple
    steps: int
    noise: float
    seed: int

    @property
    def walks(self) -> dict:
        """A `Walk` for each rule."""
        given = dict(start=self.start, steps=self.steps, noise=self.noise, seed=self.seed)
        return {name: Walk(rule, self.objective, **given) for name, rule in self.rules.items()}

    def run(self) -> dict:
        """Run the race.

        Returns
        -------
        dict of str to SimpleNamespace
            For each rule ``x`` of shape ``(steps + 1, 2)``, and ``f`` and ``gap`` (f less its
            minimum) of shape ``(steps + 1,)``.
        """
        result = {}
        for name, walk in self.walks.items():
            x = walk.take().x
            with np.errstate(all="ignore"):
                f = self.objective.value(x)
            result[name] = SimpleNamespace(x=x, f=f, gap=f - self.objective.minimum)
        return result

    def figure(self) -> Explorable:
        """Return the race as the description of a map and of loss curves."""
        value, floor = self.objective.value, self.objective.minimum
        return Explorable(
            name="playground",
            question=QUESTION,
            alt=self.alt(),
            controls=(),
            walks=self.walks,
            panels=(
                Plane(self.objective, alt="Map of the objective with the paths of the rules"),
                Curves(
                    {name: (name, lambda x: value(x) - floor) for name in self.rules},
                    labels=("step t", "f − f*"),
                    log="y",
                    x=(0, self.steps),
                    alt="Loss of each rule against the step, on a logarithmic scale",
                ),
            ),
        )

    def alt(self) -> str:
        """Return what the race shows in words."""
        ends = sorted(
            self.run().items(), key=lambda item: (not item[1].f[-1] < np.inf, item[1].f[-1])
        )
        ranking = ", ".join(f"{name} {_short(taken.f[-1])}" for name, taken in ends)
        return (
            f"Paths on {self.objective.name} and their losses. Loss after {self.steps} steps, best "
            f"first: {ranking}."
        )


@dataclass(frozen=True, repr=False)
class Playground:
    """Rules, objectives and step sizes that make a race fair; `playground` makes it.

    Attributes
    ----------
    rules : mapping of str to class
    objectives : mapping of str to Objective
    rates : mapping of str to mapping of str to float
        Step size by objective and rule, from `tuned`.
    """

    rules: Mapping = field(default_factory=lambda: RACING)
    objectives: Mapping = field(default_factory=lambda: objectives.OBJECTIVES)
    rates: Mapping = field(default_factory=lambda: tuned())

    def __repr__(self):
        return f"Playground(playground: {len(self.rules)} rules, {len(self.objectives)} objectives)"

    def race(
        self,
        objective: str = FIRST.objective,
        rules: Sequence[str] = FIRST.rules,
        *,
        start: Sequence | None = None,
        hyper: Mapping | None = None,
        lr: float = 1.0,
        steps: int = TRIAL,
        noise: float = 0.0,
        seed: int = 0,
    ) -> Race:
        """Describe a race.

        Parameters
        ----------
        objective : str
        rules : sequence of str
            Their order is of no account.
        start : (float, float), optional
            The objective's own if left out.
        hyper : mapping of str to mapping, optional
            Hyperparameters by rule; a step size given here replaces the tuned one.
        lr : float, default 1
            Factor on every tuned step size.
        steps : int, default 200
        noise : float, default 0
        seed : int, default 0

        Raises
        ------
        TypeError, ValueError
            For a name that nothing has, a value out of its range, and as the rules raise them.

        Examples
        --------
        >>> race = playground().race("saddle", ["SGD", "Adam"], steps=20)
        >>> [name for name, taken in race.run().items() if taken.gap[-1] < 0.1]
        ['Adam']
        """
        hyper = hyper or {}
        on = _known("objective", objective, self.objectives)
        for name in (*rules, *hyper):
            _known("rule", name, self.rules)
        point = tuple(float(v) for v in (on.start if start is None else start))
        if len(point) != 2 or not all(map(math.isfinite, point)):
            raise ValueError(f"start={start!r}; expected two finite numbers.")
        _whole("steps", steps, 1, MOST_STEPS)
        _whole("seed", seed, 0, LARGEST_SEED)
        if not 0 <= noise < math.inf:
            raise ValueError(f"noise={noise!r}; expected a finite standard deviation >= 0.")
        chosen = {
            name: rule(**{"lr": lr * self.rates[objective][name], **hyper.get(name, {})})
            for name, rule in self.rules.items()
            if name in rules
        }
        return Race(on, chosen, point, int(steps), float(noise), int(seed))

    def _repr_mimebundle_(self, include=None, exclude=None):
        from .playground_kernel import widget
        from .playground_page import html

        return {**widget(self), "text/plain": repr(self), "text/html": html(self)}


def playground() -> Playground:
    """Return the playground: a race of any elementwise rules on any planar objective.

    With a kernel it shows ipywidgets, in a built page it needs none.

    Examples
    --------
    >>> playground()
    Playground(playground: 14 rules, 6 objectives)
    """
    return Playground()


@functools.cache
def tuned() -> dict:
    """Return a step size for each rule on each objective: the best of `TRIED`.

    Each is tried for 200 steps from the objective's own start, the other hyperparameters at their
    defaults, without noise. The best has the smallest of the largest losses in the last 50 steps
    (so that no lucky last step wins), among those whose path stays on the map.
    """
    return {
        on.name: {name: _best(rule, on) for name, rule in RACING.items()}
        for on in objectives.OBJECTIVES.values()
    }


def _best(rule, on):
    low, high = np.transpose(on.view)
    starts = np.tile(on.start, (len(TRIED), 1))
    with np.errstate(all="ignore"):
        path = rule(lr=TRIED).run(on.gradient, starts, TRIAL, check_finite=False).path
        worst = on.value(path[-LAST:]).max(axis=0)
    inside = ((path >= low) & (path <= high)).all(axis=(0, 2))
    return TRIED[int(np.argmin(np.where(inside, worst, np.inf)))]


def _known(kind, name, known):
    if name not in known:
        raise ValueError(f"The playground has no {kind} {name!r}; it has {', '.join(known)}.")
    return known[name]


def _whole(name, value, low, high):
    if isinstance(value, bool) or value != int(value) or not low <= value <= high:
        raise ValueError(f"{name}={value!r}; expected a whole number from {low} to {high}.")
