"""Schedules: hyperparameters that change with the step, ``t = 1, 2, …``.

A schedule is any callable ``t -> value``. These have a readable ``repr`` and check their arguments.
Values may be arrays, so that a sweep can have a schedule.

>>> Adam(lr=Warmup(Cosine(0.1, steps=100), steps=10))
Adam(lr=Warmup(Cosine(0.1, steps=100, final=0.0), steps=10), beta1=0.9, beta2=0.999, eps=1e-08)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real


def _at_least(schedule, name, value, low):
    if not (isinstance(value, Real) and math.isfinite(value) and value >= low):
        raise ValueError(f"{schedule}: {name}={value!r}; expected a number >= {low}.")


class _Shown:
    def __repr__(self):
        first, *others = self.__dict__.items()
        rest = "".join(f", {name}={value!r}" for name, value in others)
        return f"{type(self).__name__}({first[1]!r}{rest})"


@dataclass(frozen=True, repr=False)
class StepDecay(_Shown):
    r""":math:`\eta\, \gamma^{\lfloor (t-1)/k \rfloor}`: multiply by ``factor`` every k steps."""

    value: object
    factor: float = 0.1
    every: int = 100

    def __post_init__(self):
        _at_least("StepDecay", "factor", self.factor, 0)
        _at_least("StepDecay", "every", self.every, 1)

    def __call__(self, t):
        return self.value * self.factor ** ((t - 1) // self.every)


@dataclass(frozen=True, repr=False)
class Exponential(_Shown):
    r""":math:`\eta\, \gamma^{t-1}`."""

    value: object
    factor: float = 0.99

    def __post_init__(self):
        _at_least("Exponential", "factor", self.factor, 0)

    def __call__(self, t):
        return self.value * self.factor ** (t - 1)


@dataclass(frozen=True, repr=False)
class InverseSqrt(_Shown):
    r""":math:`\eta / \sqrt t`."""

    value: object

    def __call__(self, t):
        return self.value / math.sqrt(t)


@dataclass(frozen=True, repr=False)
class InverseTime(_Shown):
    r""":math:`\eta / (1 + \delta\,(t-1))`."""

    value: object
    rate: float = 1.0

    def __post_init__(self):
        _at_least("InverseTime", "rate", self.rate, 0)

    def __call__(self, t):
        return self.value / (1 + self.rate * (t - 1))


@dataclass(frozen=True, repr=False)
class Cosine(_Shown):
    r"""Half a cosine from :math:`\eta` at t = 1 to ``final`` after ``steps`` steps, then flat."""

    value: object
    steps: int
    final: float = 0.0

    def __post_init__(self):
        _at_least("Cosine", "steps", self.steps, 1)
        _at_least("Cosine", "final", self.final, 0)

    def __call__(self, t):
        done = min((t - 1) / self.steps, 1)
        return self.final + (self.value - self.final) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True, repr=False)
class Warmup(_Shown):
    r"""Linear warm-up: :math:`\min(1, t/k)` times a value or another schedule."""

    value: object
    steps: int

    def __post_init__(self):
        _at_least("Warmup", "steps", self.steps, 1)

    def __call__(self, t):
        value = self.value(t) if callable(self.value) else self.value
        return min(1, t / self.steps) * value
