"""The book's running examples: functions to minimise, with exact gradients.

A planar objective is written once as a formula over a namespace, like the rules, so that it can be
evaluated on arrays, differentiated by SymPy and printed as JavaScript. Its partial derivatives are
what SymPy derives from the formula; a test holds the two together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from . import arithmetic


@dataclass(frozen=True, repr=False)
class Objective:
    """A function to minimise.

    Attributes
    ----------
    name : str
    formula : callable
        ``formula(xp, *coordinates)`` returns the value.
    partials : callable
        ``partials(xp, *coordinates)`` returns the tuple of partial derivatives.
    start : tuple of float
        Where the book's runs begin.
    minimisers : tuple of points
        All global minimisers, or the nearest point of a valley of them; empty if there is none.
    minimum : float or None
        The smallest value; ``None`` if it is unknown or not reached.
    view : ((x_low, x_high), (y_low, y_high))
        The part of the plane worth drawing.
    noise : float
        Standard deviation of the normal noise that `sampler` adds to every partial derivative.
    seed : int
        Seed of that noise.
    """

    name: str
    formula: Callable
    partials: Callable
    start: tuple
    minimisers: tuple = ()
    minimum: float | None = 0.0
    view: tuple = ((-8.0, 8.0), (-3.0, 3.0))
    noise: float = 0.0
    seed: int = 0

    def __repr__(self):
        noise = f", noise={self.noise:g}, seed={self.seed}" if self.noise else ""
        return f"Objective({self.name}{noise})"

    @property
    def dim(self) -> int:
        """Number of coordinates."""
        return len(self.start)

    @property
    def minimiser(self):
        """The first global minimiser as an array, or ``None``."""
        return np.array(self.minimisers[0]) if self.minimisers else None

    def value(self, x):
        """Return f at points of shape ``(..., dim)``; the result has shape ``(...)``."""
        return self.formula(arithmetic, *self._coordinates(x))

    __call__ = value

    def gradient(self, x):
        """Return the gradient at points of shape ``(..., dim)``, in the same shape."""
        coordinates = self._coordinates(x)
        partials = self.partials(arithmetic, *coordinates)
        return np.stack(np.broadcast_arrays(*partials), axis=-1)

    def sampler(self) -> Callable:
        """Return a gradient function for one run: exact, or with noise that starts anew."""
        if not self.noise:
            return self.gradient
        rng = np.random.default_rng(self.seed)

        def sample(x):
            return self.gradient(x) + self.noise * rng.standard_normal(np.shape(x))

        return sample

    def noisy(self, noise: float, seed: int = 0) -> Objective:
        """Return this objective with normal noise on every partial derivative.

        Raises
        ------
        ValueError
            If ``noise`` is not a finite number >= 0.
        """
        if not (math.isfinite(noise) and noise >= 0):
            raise ValueError(f"noise={noise!r}; expected a finite standard deviation >= 0.")
        return replace(self, noise=float(noise), seed=seed)

    def rotated(self, degrees: float) -> Objective:
        """Return a planar objective turned counterclockwise about the origin.

        The start and the minimisers turn with it, so runs of a rotation-invariant rule are the
        same up to that turn.
        """
        if self.dim != 2:
            raise ValueError(f"{self.name} has {self.dim} coordinates; only the plane is turned.")
        angle = math.radians(degrees)
        c, s = math.cos(angle), math.sin(angle)

        def formula(xp, x, y):
            return self.formula(xp, c * x + s * y, c * y - s * x)

        def partials(xp, x, y):
            u, v = self.partials(xp, c * x + s * y, c * y - s * x)
            return c * u - s * v, s * u + c * v

        def turn(point):
            x, y = point
            return (c * x - s * y, s * x + c * y)

        return replace(
            self,
            name=f"{self.name} turned by {degrees:g} degrees",
            formula=formula,
            partials=partials,
            start=turn(self.start),
            minimisers=tuple(turn(point) for point in self.minimisers),
        )

    def _coordinates(self, x):
        x = np.asarray(x)
        if x.shape[-1:] != (self.dim,):
            raise ValueError(
                f"{self.name} takes points with {self.dim} coordinates on the last axis; given "
                f"shape {x.shape}."
            )
        return np.moveaxis(x, -1, 0)


ravine = Objective(
    name="ravine",
    formula=lambda xp, x, y: x**2 / 20 + y**2,
    partials=lambda xp, x, y: (x / 10, 2 * y),
    start=(-7.0, 2.0),
    minimisers=((0.0, 0.0),),
)
r"""The ravine :math:`x^2/20 + y^2`: twenty times steeper across than along."""

rosenbrock = Objective(
    name="Rosenbrock",
    formula=lambda xp, x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
    partials=lambda xp, x, y: (
        2 * (x - 1) - 400 * x * (y - x**2),
        200 * (y - x**2),
    ),
    start=(-1.2, 1.0),
    minimisers=((1.0, 1.0),),
    view=((-2.0, 2.0), (-1.0, 3.0)),
)
r"""Rosenbrock's valley :math:`(1-x)^2 + 100\,(y-x^2)^2`."""

beale = Objective(
    name="Beale",
    formula=lambda xp, x, y: (
        (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2
    ),
    partials=lambda xp, x, y: (
        2 * (y - 1) * (1.5 - x + x * y)
        + 2 * (y**2 - 1) * (2.25 - x + x * y**2)
        + 2 * (y**3 - 1) * (2.625 - x + x * y**3),
        2 * x * (1.5 - x + x * y)
        + 4 * x * y * (2.25 - x + x * y**2)
        + 6 * x * y**2 * (2.625 - x + x * y**3),
    ),
    start=(1.0, 1.5),
    minimisers=((3.0, 0.5),),
    view=((-1.0, 4.5), (-1.5, 2.0)),
)
r"""Beale's function: three squared residuals, flat far from its curved valley."""

himmelblau = Objective(
    name="Himmelblau",
    formula=lambda xp, x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
    partials=lambda xp, x, y: (
        4 * x * (x**2 + y - 11) + 2 * (x + y**2 - 7),
        2 * (x**2 + y - 11) + 4 * y * (x + y**2 - 7),
    ),
    start=(0.0, 0.0),
    minimisers=(
        (3.0, 2.0),
        (-2.805118086952745, 3.131312518250573),
        (-3.779310253377747, -3.283185991286170),
        (3.584428340330492, -1.848126526964404),
    ),
    view=((-5.0, 5.0), (-5.0, 5.0)),
)
r"""Himmelblau's function :math:`(x^2+y-11)^2 + (x+y^2-7)^2`: four minimisers of equal value."""

saddle = Objective(
    name="saddle",
    formula=lambda xp, x, y: x**2 / 2 + y**4 / 4 - y**2 / 2,
    partials=lambda xp, x, y: (x, y**3 - y),
    start=(1.0, 0.001),
    minimisers=((0.0, 1.0), (0.0, -1.0)),
    minimum=-0.25,
    view=((-1.5, 1.5), (-1.5, 1.5)),
)
r"""A saddle at the origin between the minima of :math:`x^2/2 + y^4/4 - y^2/2`."""

absolute = Objective(
    name="absolute",
    formula=lambda xp, x, y: xp.abs(x) / 4 + xp.abs(y),
    partials=lambda xp, x, y: (xp.sign(x) / 4, xp.sign(y)),
    start=(-3.0, 2.0),
    minimisers=((0.0, 0.0),),
    view=((-4.0, 4.0), (-3.0, 3.0)),
)
r""":math:`|x|/4 + |y|`: the gradient does not shrink near the minimiser. At a kink it is 0."""


def quadratic(condition: float, dim: int = 2) -> Objective:
    r"""Return :math:`\tfrac12 \sum_i \lambda_i x_i^2` with a given condition number.

    The eigenvalues :math:`\lambda_i` run in equal ratios from 1 to ``condition``; the start is
    :math:`(1, \dots, 1)`.

    Raises
    ------
    ValueError
        If ``condition`` is not a finite number >= 1, or ``dim`` is below 1.

    Examples
    --------
    >>> quadratic(100).gradient([1.0, 1.0])
    array([  1., 100.])
    """
    if not (math.isfinite(condition) and condition >= 1):
        raise ValueError(f"condition={condition!r}; expected a finite number >= 1.")
    if dim < 1:
        raise ValueError(f"dim={dim!r}; expected at least 1.")
    eigenvalues = [condition ** (i / (dim - 1)) if dim > 1 else condition for i in range(dim)]

    def formula(xp, *x):
        return sum(value * xi**2 for value, xi in zip(eigenvalues, x, strict=True)) / 2

    def partials(xp, *x):
        return tuple(value * xi for value, xi in zip(eigenvalues, x, strict=True))

    return Objective(
        name=f"quadratic with condition {condition:g}",
        formula=formula,
        partials=partials,
        start=(1.0,) * dim,
        minimisers=((0.0,) * dim,),
        view=((-1.2, 1.2), (-1.2, 1.2)),
    )


#: The planar objectives by name.
OBJECTIVES = {f.name: f for f in (ravine, rosenbrock, beale, himmelblau, saddle, absolute)}


class LogisticRegression:
    r"""Logistic regression with an L2 penalty: a convex objective on seeded, sparse data.

    .. math::

        f(w) = \frac1n \sum_i \log\bigl(1 + e^{-y_i\, a_i^{\mathsf T} w}\bigr)
        + \frac{\lambda}{2} \lVert w \rVert^2

    Feature j is present in a row with probability :math:`2^{-j/2}` (at least 2/n), so the first
    features are common and the last are rare. Labels :math:`y_i = \pm 1` follow the model with
    weights drawn from a standard normal distribution.

    Parameters
    ----------
    n, dim : int
        Rows and features.
    penalty : float
        :math:`\lambda > 0`, so that the minimiser is finite and unique.
    seed : int

    Attributes
    ----------
    a : (n, dim) array
    y : (n,) array of -1 and 1
    start : (dim,) array of zeros
    minimiser, minimum
        Found by Newton's method to rounding error.
    """

    def __init__(self, n: int = 400, dim: int = 12, penalty: float = 1e-3, seed: int = 0):
        if n < 2 or dim < 1:
            raise ValueError(f"n={n}, dim={dim}; expected at least 2 rows and 1 feature.")
        if not (math.isfinite(penalty) and penalty > 0):
            raise ValueError(
                f"penalty={penalty!r}; expected a finite number > 0, which keeps the minimiser "
                "finite."
            )
        rng = np.random.default_rng(seed)
        self.name = "logistic regression"
        self.penalty, self.seed = penalty, seed
        self.frequency = np.maximum(2.0 ** (-np.arange(dim) / 2), 2 / n)
        present = rng.random((n, dim)) < self.frequency
        self.a = present * rng.standard_normal((n, dim))
        weights = rng.standard_normal(dim)
        likely = 1 / (1 + np.exp(-self.a @ weights))
        self.y = np.where(rng.random(n) < likely, 1.0, -1.0)
        self.start = np.zeros(dim)
        self.minimiser = self._newton()
        self.minimum = float(self.value(self.minimiser))

    def __repr__(self):
        n, dim = self.a.shape
        return f"LogisticRegression(n={n}, dim={dim}, penalty={self.penalty:g}, seed={self.seed})"

    def value(self, w):
        """Return f at weights of shape ``(..., dim)``."""
        w = np.asarray(w)
        margin = self.y * (w @ self.a.T)
        loss = np.logaddexp(0, -margin).mean(axis=-1)
        return loss + self.penalty / 2 * (w**2).sum(axis=-1)

    __call__ = value

    def gradient(self, w, rows=slice(None)):
        """Return the gradient at weights of shape ``(..., dim)``, over all rows or those given.

        The mean over a random draw of rows is an unbiased estimate of the full gradient.
        """
        w = np.asarray(w)
        a, y = self.a[rows], self.y[rows]
        wrong = _sigmoid(-y * (w @ a.T))
        return -(wrong * y) @ a / len(y) + self.penalty * w

    def sampler(self):
        """Return the gradient function of one run: the full gradient."""
        return self.gradient

    def _newton(self):
        w = self.start
        for _ in range(50):
            p = _sigmoid(self.a @ w)
            hessian = (self.a.T * (p * (1 - p))) @ self.a / len(self.y)
            hessian = hessian + self.penalty * np.eye(len(w))
            step = np.linalg.solve(hessian, self.gradient(w))
            # Half steps where a full one would overshoot.
            size = 1.0
            while self.value(w - size * step) > self.value(w) and size > 1e-4:
                size /= 2
            w = w - size * step
        return w


def _sigmoid(z):
    return np.exp(-np.logaddexp(0, -z))
