"""Schedules: hyperparameters that change with the step, ``t = 1, 2, …``.

A schedule is any callable ``t -> value``. These have a readable ``repr`` and check their arguments.
The first argument is a number, an array (a sweep: each run has its own schedule), or another
schedule, which is then multiplied.

>>> Adam(lr=Warmup(Cosine(0.1, steps=100), steps=10))
Adam(lr=Warmup(Cosine(0.1, steps=100, final=0.0), steps=10), beta1=0.9, beta2=0.999, eps=1e-08)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

import numpy as np

from .hyper import number, show


def _at_least(schedule, name, value, low):
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not (real and math.isfinite(value) and value >= low):
        raise ValueError(f"{schedule}: {name}={value!r}; expected a number >= {low}.")


def _checked(schedule, given):
    value = number(schedule, "value", given)
    if np.any(value < 0):
        raise ValueError(f"{schedule}: value={show(value)}; expected a number >= 0.")
    return value


class _Schedule:
    def __post_init__(self):
        name = type(self).__name__
        if isinstance(self.value, type):
            raise TypeError(
                f"{name}: value is the class {self.value.__name__}; expected a number or a "
                f"schedule, e.g. {name}(0.1, ...)."
            )
        if not callable(self.value):
            # An array is copied, so that nobody can change it later.
            object.__setattr__(self, "value", _checked(name, self.value))

    def _value(self, t):
        if not callable(self.value):
            return self.value
        return _checked(type(self).__name__, self.value(t))

    def __repr__(self):
        first, *others = self.__dict__.items()
        rest = "".join(f", {name}={value!r}" for name, value in others)
        return f"{type(self).__name__}({show(first[1])}{rest})"


@dataclass(frozen=True, repr=False)
class StepDecay(_Schedule):
    r""":math:`\eta\, \gamma^{\lfloor (t-1)/k \rfloor}`: multiply by ``factor`` every k steps."""

    value: object
    factor: float = 0.1
    every: int = 100

    def __post_init__(self):
        super().__post_init__()
        _at_least("StepDecay", "factor", self.factor, 0)
        _at_least("StepDecay", "every", self.every, 1)

    def __call__(self, t):
        return self._value(t) * self.factor ** ((t - 1) // self.every)


@dataclass(frozen=True, repr=False)
class Exponential(_Schedule):
    r""":math:`\eta\, \gamma^{t-1}`."""

    value: object
    factor: float = 0.99

    def __post_init__(self):
        super().__post_init__()
        _at_least("Exponential", "factor", self.factor, 0)

    def __call__(self, t):
        return self._value(t) * self.factor ** (t - 1)


@dataclass(frozen=True, repr=False)
class InverseSqrt(_Schedule):
    r""":math:`\eta / \sqrt t`."""

    value: object

    def __call__(self, t):
        return self._value(t) / math.sqrt(t)


@dataclass(frozen=True, repr=False)
class InverseTime(_Schedule):
    r""":math:`\eta / (1 + \delta\,(t-1))`."""

    value: object
    rate: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        _at_least("InverseTime", "rate", self.rate, 0)

    def __call__(self, t):
        return self._value(t) / (1 + self.rate * (t - 1))


@dataclass(frozen=True, repr=False)
class Cosine(_Schedule):
    r"""Half a cosine from :math:`\eta` at t = 1 to ``final`` after ``steps`` steps, then flat."""

    value: object
    steps: int
    final: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        _at_least("Cosine", "steps", self.steps, 1)
        _at_least("Cosine", "final", self.final, 0)

    def __call__(self, t):
        done = min((t - 1) / self.steps, 1)
        return self.final + (self._value(t) - self.final) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True, repr=False)
class Warmup(_Schedule):
    r"""Linear warm-up: :math:`\min(1, t/k)` times the value."""

    value: object
    steps: int

    def __post_init__(self):
        super().__post_init__()
        _at_least("Warmup", "steps", self.steps, 1)

    def __call__(self, t):
        return min(1, t / self.steps) * self._value(t)
