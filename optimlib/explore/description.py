"""What a moving figure is: controls, walks and panels, and the numbers that it draws.

A formula is a function that names what it needs among its arguments:

======  ==========================================================================================
``xp``  the namespace of its mathematics: ``xp.sqrt``, ``xp.where``, ``xp.cos`` …
``c``   the controls, by name: ``c.lr``
``t``   the step; x at 0 is the start
``x``   the coordinates of the iterate, a tuple; x at t is the iterate after step t
``z``   standard normal noise, a tuple as long as x, new in each step
``g``   the gradient that step t used, a tuple
``d``   the move of step t, new iterate minus old, a tuple
``s``   the memory after step t: ``s.v`` is a tuple
======  ==========================================================================================

Like the rules, a formula is run on arrays here and on symbols when it is printed as JavaScript.
"""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

from .. import arithmetic
from ..base import Optimizer
from ..objectives import Objective
from .noise import normal

#: The namespace of a formula on arrays: that of the rules, and what only figures need.
namespace = SimpleNamespace(
    **{name: getattr(arithmetic, name) for name in ("abs", "maximum", "minimum", "sign")},
    sqrt=np.sqrt,
    where=np.where,
    exp=np.exp,
    log=np.log,
    cos=np.cos,
    sin=np.sin,
    equal=np.equal,
    mod=np.mod,
)
#: What exists from the first step on, but not at the start.
OF_STEPS = frozenset("gds")
#: Beyond this a point is not drawn: it is far outside of every picture.
FAR = 1e12


@dataclass(frozen=True)
class Control:
    """A number that the reader sets, on a slider of fixed positions or in a list of choices.

    Parameters
    ----------
    name : str
        What formulas call it: ``c.<name>``.
    label : str
        What stands at the slider, with the symbol of the equation: ``"step size η"``.
    low, high : float
        Ends of the slider.
    start : float
        Where it stands at first and after a reset.
    scale : "linear", "log" or "whole"
        Equal steps, equal ratios, or whole numbers only.
    steps : int, default 100
        Number of steps from end to end; whole numbers have their own.
    choices : mapping, optional
        Text to number: a list to choose from in place of a slider; give no ends then.

    Examples
    --------
    >>> Control("lr", "step size η", 0.01, 1, 0.1, scale="log", steps=4).values
    (0.01, 0.0316, 0.1, 0.316, 1.0)
    """

    name: str
    label: str
    low: float | None = None
    high: float | None = None
    start: float | None = None
    scale: str = "linear"
    steps: int = 100
    choices: Mapping[str, float] | None = None

    def __post_init__(self):
        if not self.name.isidentifier() or keyword.iskeyword(self.name):
            raise ValueError(f"Control name {self.name!r} must be an identifier such as 'lr'.")
        if self.choices is not None:
            if self.low is not None or self.high is not None or not self.choices:
                raise ValueError(f"Control {self.name!r}: give choices, or the ends of a slider.")
        elif None in (self.low, self.high, self.start) or not self.low < self.high:
            raise ValueError(
                f"Control {self.name!r}: low={self.low}, high={self.high}, start={self.start}; "
                "expected low < high and a start between them."
            )
        elif self.scale not in ("linear", "log", "whole"):
            raise ValueError(
                f"Control {self.name!r}: scale={self.scale!r}; expected 'linear', 'log', 'whole'."
            )
        elif self.steps < 1:
            raise ValueError(f"Control {self.name!r}: steps={self.steps}; expected at least 1.")
        elif self.scale == "log" and self.low <= 0:
            raise ValueError(f"Control {self.name!r}: low={self.low}; a log scale needs low > 0.")
        if self.initial not in self.values:
            raise ValueError(
                f"Control {self.name!r}: start={self.start}; expected one of its values, from "
                f"{self.values[0]} to {self.values[-1]}."
            )

    @property
    def initial(self) -> float:
        """The value at first."""
        if self.start is None:
            return next(iter(self.values))
        return float(self.start)

    @property
    def values(self) -> tuple:
        """Every value it can take, in order; the start is one of them."""
        if self.choices is not None:
            return tuple(float(v) for v in self.choices.values())
        if self.scale == "whole":
            return tuple(float(v) for v in range(round(self.low), round(self.high) + 1))
        spaced = np.geomspace if self.scale == "log" else np.linspace
        values = spaced(self.low, self.high, self.steps + 1)
        digits = 3 if self.scale == "log" else 6
        rounded = {float(f"{v:.{digits}g}") for v in values}
        if self.low <= self.start <= self.high:
            rounded.add(float(self.start))
        return tuple(sorted(rounded))

    @property
    def texts(self) -> tuple:
        """What is shown for each value."""
        if self.choices is not None:
            return tuple(self.choices)
        return tuple(f"{v:g}" for v in self.values)


@dataclass(frozen=True)
class Walk:
    """A rule that takes steps.

    Parameters
    ----------
    rule : Optimizer or a class of them
        Its options are fixed; its numbers hold unless given below.
    on : Objective or formula
        An objective, or a formula of ``c, t, x, z`` that returns the gradient as a tuple.
    start : sequence or formula of c
        Where it starts; an objective's own start if left out.
    steps : int
    hyper : mapping
        Hyperparameters that move: a control's name, or a formula of ``c`` and ``t``.
    noise : formula of c, or number
        Standard deviation of normal noise on each partial derivative of an objective.
    seed : int or str
        Seed of the noise ``z``, or the name of a control that sets it.
    bounds : (low, high), optional
        Each iterate is clipped to this interval.
    """

    rule: Optimizer | type
    on: Objective | Callable
    start: Sequence | Callable | None = None
    steps: int = 100
    hyper: Mapping = field(default_factory=dict)
    noise: Callable | float = 0.0
    seed: int | str = 0
    bounds: tuple | None = None

    def __post_init__(self):
        opt = self.optimizer
        if not opt.elementwise:
            raise TypeError(f"{type(opt).__name__} works on vectors; figures walk by coordinates.")
        for name, value in self.hyper.items():
            if name not in opt.defaults:
                raise TypeError(
                    f"{type(opt).__name__} has no hyperparameter {name!r}; it has "
                    f"{', '.join(opt.defaults)}."
                )
            if not isinstance(value, str) and not callable(value):
                raise TypeError(
                    f"{name}={value!r} does not move: give it to the rule, "
                    f"{type(opt).__name__}({name}={value!r}); here, the name of a control or a "
                    "formula."
                )
        for name, value in opt._hyper.items():
            if callable(value) or isinstance(value, np.ndarray):
                raise TypeError(
                    f"{name} of {type(opt).__name__} is a schedule or an array; give a number, and "
                    f"here, in hyper, a formula of c and t."
                )
        if self.start is None and not isinstance(self.on, Objective):
            raise TypeError("A walk on a formula needs a start.")
        if self.steps < 1:
            raise ValueError(f"steps={self.steps}; expected at least 1.")

    @property
    def optimizer(self) -> Optimizer:
        """The rule as an instance."""
        return self.rule() if isinstance(self.rule, type) else self.rule

    def first(self, xp, c) -> tuple:
        """Return the start as a tuple of coordinates."""
        if callable(self.start):
            return tuple(call(self.start, xp=xp, c=c))
        return tuple(self.on.start if self.start is None else self.start)

    def set(self, xp, c, t) -> dict:
        """Return the hyperparameters that move."""
        return {
            name: getattr(c, value) if isinstance(value, str) else call(value, xp=xp, c=c, t=t)
            for name, value in self.hyper.items()
        }

    def gradient(self, xp, c, t, x, z) -> tuple:
        """Return the gradient at x, with its noise, as a tuple."""
        if not isinstance(self.on, Objective):
            return tuple(call(self.on, xp=xp, c=c, t=t, x=x, z=z))
        partials = self.on.partials(xp, *x)
        noise = call(self.noise, xp=xp, c=c, t=t) if callable(self.noise) else self.noise
        if isinstance(noise, float | int) and noise == 0:
            return tuple(partials)
        return tuple(p + noise * n for p, n in zip(partials, z, strict=True))

    def take(self, c=None):
        """Take the steps with `optimlib`.

        Parameters
        ----------
        c : SimpleNamespace, optional
            The controls' values; a walk that names no control needs none.

        Returns
        -------
        SimpleNamespace
            ``x`` of shape ``(steps + 1, dim)``; ``g`` and each slot in ``s`` of shape
            ``(steps, dim)``.
        """
        x = np.array(self.first(namespace, c), dtype=float)
        opt = self.optimizer.fresh()
        seed = int(getattr(c, self.seed)) if isinstance(self.seed, str) else self.seed
        noise = normal(seed, np.arange(1, self.steps + 1), len(x))
        slots = [*opt.active_slots(), *opt.scalars]
        path = np.empty((self.steps + 1, len(x)))
        path[0] = x
        taken = np.empty((self.steps, len(x)))
        memory = {slot: np.empty((self.steps, len(x))) for slot in slots}
        moving = any(callable(value) for value in self.hyper.values())
        with np.errstate(all="ignore"):
            opt.set(**{k: float(v) for k, v in self.set(namespace, c, 1).items()})
            for t in range(1, self.steps + 1):
                if moving and t > 1:
                    opt.set(**{k: float(v) for k, v in self.set(namespace, c, t).items()})
                g = np.array(self.gradient(namespace, c, t, tuple(x), tuple(noise[t - 1])))
                x = opt.step(x, g.astype(float), check_finite=False)
                if self.bounds is not None:
                    x = np.clip(x, *self.bounds)
                path[t], taken[t - 1] = x, g
                state = opt.state_dict()
                for slot in slots:
                    memory[slot][t - 1] = state[slot]
        return SimpleNamespace(x=path, g=taken, s=memory)


@dataclass(frozen=True)
class Plane:
    """The paths of walks in the plane, over level bands of a function.

    Parameters
    ----------
    value : Objective or formula of c and x
    walks : sequence of str
        Labels of the walks to draw; all of them if left out.
    view : ((x_low, x_high), (y_low, y_high)), optional
        An objective's own if left out.
    start : (str, str), optional
        Names of the controls that hold the start: the reader may drag it or move it by arrow keys.
    labels : (str, str)
        Names of the axes.
    """

    value: Objective | Callable
    walks: Sequence[str] | None = None
    view: tuple | None = None
    start: tuple | None = None
    labels: tuple = ("x", "y")
    alt: str = "Paths in the plane"

    def level(self, xp, c, x):
        """Return the value at points."""
        if isinstance(self.value, Objective):
            return self.value.formula(xp, *x)
        return call(self.value, xp=xp, c=c, x=x)

    @property
    def window(self) -> tuple:
        """The part of the plane that is drawn."""
        return self.view or self.value.view


@dataclass(frozen=True)
class Curves:
    """Curves over the step, or over any other quantity.

    Parameters
    ----------
    curves : mapping
        Label to formula, or to ``(walk, formula)`` where it needs ``x, g, s`` of a walk. A formula
        returns y, or ``(x, y)``.
    labels : (str, str)
        Names of the axes.
    steps : int, optional
        For curves without a walk: t runs from 0 to here.
    x, y : (low, high), optional
        Fixed ranges. Otherwise they follow what is drawn.
    log : str
        ``""``, ``"x"``, ``"y"`` or ``"xy"``: logarithmic axes.
    """

    curves: Mapping
    labels: tuple
    steps: int = 100
    x: tuple | None = None
    y: tuple | None = None
    log: str = ""
    alt: str = "Curves"

    def parts(self):
        """Yield label, walk or None, and formula."""
        for label, given in self.curves.items():
            walk, formula = given if isinstance(given, tuple) else (None, given)
            yield label, walk, formula


@dataclass(frozen=True)
class Map:
    """A function of two controls as a picture; the reader chooses a point of it.

    Parameters
    ----------
    x, y : str
        Names of the two controls, which give the ranges.
    value : formula of c
        Drawn in bands.
    levels : sequence of float
        Edges of the bands, increasing.
    quantity : str
        What the bands show, for their key.
    """

    x: str
    y: str
    value: Callable
    levels: Sequence[float]
    quantity: str
    alt: str = "Map"


@dataclass(frozen=True, repr=False)
class Explorable:
    """A moving figure; `explore` makes it."""

    name: str
    question: str
    alt: str
    controls: tuple
    walks: dict
    panels: tuple
    readout: tuple = ()

    def __repr__(self):
        controls = ", ".join(f"{c.name}={c.initial:g}" for c in self.controls)
        return f"Explorable({self.name}: {controls})"

    def values(self, **given) -> SimpleNamespace:
        """Return the controls' values: those given, the others as at first.

        Raises
        ------
        TypeError
            For a control that the figure does not have.
        """
        start = {control.name: control.initial for control in self.controls}
        unknown = given.keys() - start.keys()
        if unknown:
            raise TypeError(
                f"{self.name} has no control {', '.join(sorted(unknown))}; it has "
                f"{', '.join(start)}."
            )
        return SimpleNamespace(**start | {k: float(v) for k, v in given.items()})

    def compute(self, **given) -> SimpleNamespace:
        """Compute with `optimlib` everything that is drawn.

        Parameters
        ----------
        **given
            Values of controls.

        Returns
        -------
        SimpleNamespace
            ``walks``: label to `Walk.take`; ``curves``: for each panel, label to ``(x, y)``;
            ``readout``: the sentences below the figure.
        """
        return self._draw(self.values(**given))

    def _draw(self, c):
        walks = {label: walk.take(c) for label, walk in self.walks.items()}
        curves = [{} for _ in self.panels]
        with np.errstate(all="ignore"):
            for i, panel in enumerate(self.panels):
                if isinstance(panel, Plane):
                    panel.level(namespace, c, (0.0, 0.0))
                elif isinstance(panel, Map):
                    call(panel.value, xp=namespace, c=c)
                else:
                    for label, walk, formula in panel.parts():
                        taken = walks.get(walk)
                        steps = panel.steps if walk is None else self.walks[walk].steps
                        curves[i][label] = _curve(formula, c, taken, steps)
            said = tuple(
                template.format(*map(_short, _at_end(formula, c, walks.get(walk))))
                for template, walk, formula in self.readout
            )
        return SimpleNamespace(walks=walks, curves=curves, readout=said)

    def _repr_mimebundle_(self, include=None, exclude=None):
        from .kernel import widget
        from .page import html

        return {**widget(self), "text/plain": repr(self), "text/html": html(self)}


def explore(
    name: str,
    question: str,
    *,
    alt: str,
    controls: Sequence[Control],
    panels: Sequence,
    walks: Mapping[str, Walk] | None = None,
    readout: Sequence = (),
) -> Explorable:
    """Describe a moving figure.

    Parameters
    ----------
    name : str
        A slug, unique on its page.
    question : str
        The question that it answers; its caption.
    alt : str
        What it shows before it is touched, for those who don't see it.
    controls : sequence of Control
    panels : sequence of Plane, Curves or Map
    walks : mapping of str to Walk
    readout : sequence of (template, walk or None, formula)
        Sentences below the figure that follow the controls: ``{}`` in a template is filled with
        what the formula returns at the walk's last step.

    Raises
    ------
    TypeError, ValueError
        For a name that is used twice or that nothing has, and for a control that moves nothing.
    """
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError(f"name={name!r}; expected a slug such as 'ravine-rate'.")
    figure = Explorable(
        name=name,
        question=question,
        alt=alt,
        controls=tuple(controls),
        walks=dict(walks or {}),
        panels=tuple(panels),
        readout=tuple(readout),
    )
    _check(figure)
    return figure


def call(formula, **given):
    """Call a formula with those of the arguments that it names."""
    try:
        return formula(**{name: given[name] for name in wants(formula)})
    except KeyError as error:
        raise TypeError(
            f"A formula asks for {error.args[0]}; a formula may ask for xp, c, t, x, z, g, d, s as "
            f"far as they exist where it stands: here for {', '.join(given)}."
        ) from None


def wants(formula) -> set:
    """Return the names of the arguments of a formula."""
    return set(inspect.signature(formula).parameters)


def first_step(formula) -> int:
    """Return the t at which a curve begins: 0, or 1 if it needs what only steps have."""
    return 1 if wants(formula) & OF_STEPS else 0


def _curve(formula, c, taken, steps):
    first = first_step(formula)
    t = np.arange(first, steps + 1)
    given = {"xp": namespace, "c": c, "t": t}
    if taken is not None:
        given["x"] = tuple(taken.x[first:].T)
        given["g"] = tuple(taken.g.T)
        given["d"] = tuple(np.diff(taken.x, axis=0).T)
        given["s"] = SimpleNamespace(**{k: tuple(v.T) for k, v in taken.s.items()})
    y = call(formula, **given)
    x, y = y if isinstance(y, tuple) else (t, y)
    return tuple(np.broadcast_to(np.asarray(v, dtype=float), t.shape) for v in (x, y))


def _at_end(formula, c, taken):
    given = {"xp": namespace, "c": c}
    if taken is not None:
        given |= {
            "t": len(taken.g),
            "x": tuple(taken.x[-1]),
            "g": tuple(taken.g[-1]),
            "d": tuple(taken.x[-1] - taken.x[-2]),
            "s": SimpleNamespace(**{k: tuple(v[-1]) for k, v in taken.s.items()}),
        }
    values = call(formula, **given)
    return values if isinstance(values, tuple) else (values,)


def _short(value):
    """Return a number to three digits, as the page writes it too."""
    value = float(value) + 0.0  # no negative zero
    if not np.isfinite(value):
        return {"inf": "∞", "-inf": "−∞"}.get(str(value), "nan")
    if value != 0 and not 1e-4 <= abs(value) < 1e5:
        digits, power = f"{value:.2e}".split("e")
        text = f"{digits}e{int(power)}"
    else:
        text = f"{float(f'{value:.3g}'):.12g}"
    return text.replace("-", "−")


def _check(figure):
    """Refuse names that are used twice or that nothing has."""
    names = [control.name for control in figure.controls]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{figure.name}: two controls are called {sorted(twice)[0]!r}.")
    if not figure.panels:
        raise ValueError(f"{figure.name}: no panels; give a Plane, Curves or Map.")
    wanted = [(walk, figure.walks, "walk") for _, walk, _ in figure.readout]
    for panel in figure.panels:
        if isinstance(panel, Curves):
            wanted += [(walk, figure.walks, "walk") for _, walk, _ in panel.parts()]
        elif isinstance(panel, Plane):
            wanted += [(walk, figure.walks, "walk") for walk in panel.walks or ()]
            wanted += [(name, names, "control") for name in panel.start or ()]
        else:
            wanted += [(name, names, "control") for name in (panel.x, panel.y)]
    for walk in figure.walks.values():
        moved = [*walk.hyper.values(), walk.seed]
        wanted += [(name, names, "control") for name in moved if isinstance(name, str)]
    for name, known, kind in wanted:
        if name is not None and name not in known:
            raise ValueError(
                f"{figure.name}: no {kind} is called {name!r}; there is {', '.join(known)}."
            )
    read = _Read(figure.values())
    figure._draw(read)
    idle = set(names) - read.names
    if idle:
        raise ValueError(f"{figure.name}: the control {sorted(idle)[0]!r} moves nothing.")


class _Read:
    """The controls' values, with a note of which were asked for."""

    def __init__(self, values):
        self.names = set()
        self._values = values

    def __getattr__(self, name):
        self.names.add(name)
        return getattr(self._values, name)
