"""Run a rule on quantities with units: what a dimensional analysis would find, the machine finds.

Each rule runs as it stands on pint quantities. Adding metres to newtons raises pint's
`DimensionalityError`; so a rule that runs through is consistent, and one that does not says where.
A memory that starts at zero starts without a unit: pint lets a plain 0 be added to anything. (A
product with a plain 0 has a unit, that of the other factor.)
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

try:
    import pint
except ImportError as error:
    raise ImportError(
        "optimlib.units needs pint, which is missing: pip install 'optimlib[units]'"
    ) from error

from . import arithmetic
from .base import Optimizer
from .hyper import number, option, unknown

#: The unit registry of this module, pint's own for the application.
registry = pint.get_application_registry()

# Two steps show every line at work on a memory that has units; a third one that it keeps them. The
# numbers matter little; signs turn, and no coordinate is zero.
_GRADIENTS = np.array([[3.0, -0.5], [2.0, 0.25], [-1.0, 0.125]])
_START = np.array([1.0, -2.0])


def check(rule, x, f, **hyperparameters):
    """Return the unit of what a rule subtracts from x, or raise.

    Parameters
    ----------
    rule : Optimizer or a class of them
        Hyperparameters that are not given are its own: plain numbers.
    x, f : str or pint.Unit
        Units of the parameter and of the objective; gradients have the unit f/x.
    **hyperparameters
        Options, numbers, quantities, or strings such as ``"0.1 m**2/J"``.

    Returns
    -------
    pint.Unit
        The unit of the update, the same as x's or one that converts to it.

    Raises
    ------
    pint.DimensionalityError
        If the rule adds, compares or subtracts quantities of different dimensions.
    TypeError, ValueError
        As the rule itself, for names that it does not have and values out of range.

    Examples
    --------
    >>> from optimlib import SGD
    >>> print(check(SGD, "m", "J", lr="0.1 m**2/J"))
    meter
    >>> check(SGD, "m", "J", lr=0.1)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    pint.errors.DimensionalityError: Cannot convert from 'meter' ([length]) to 'joule / meter' ...
    """
    x, f = registry.Unit(x), registry.Unit(f)
    for _, update in _steps(rule, _START * x, _GRADIENTS * (f / x), hyperparameters):
        unit = registry.Quantity(update).units
    return unit


def walk(rule, x, gradients, **hyperparameters) -> list:
    """Return the iterates after 0, 1, 2, … of some gradients.

    Parameters
    ----------
    rule, **hyperparameters
        As in `check`.
    x : pint.Quantity
        Start, an array.
    gradients : iterable of pint.Quantity
        One for each step, of x's shape.

    Returns
    -------
    list of pint.Quantity

    Raises
    ------
    pint.DimensionalityError, TypeError, ValueError
        As `check`.

    Examples
    --------
    >>> from optimlib import AdaGrad
    >>> x, g = registry.Quantity([5.0], "m"), registry.Quantity([100.0], "J/m")
    >>> print(walk(AdaGrad, x, [g], lr="0.5 m", eps=0)[1])
    [4.5] meter
    """
    return [x, *(new for new, _ in _steps(rule, x, gradients, hyperparameters))]


def _steps(rule, x, gradients, hyperparameters):
    opt = rule() if isinstance(rule, type) and issubclass(rule, Optimizer) else rule
    if not isinstance(opt, Optimizer):
        raise TypeError(f"expected an optimizer or its class, e.g. Adam; got {rule!r}.")
    hyper = {name: _value(opt, name, value) for name, value in hyperparameters.items()}
    known = {**opt._hyper, **hyper}
    memory = {
        slot: known[start] if isinstance(start, str) else start
        for slot, start in opt.active_slots(**hyper).items()
    } | opt.scalars
    for t, g in enumerate(gradients, start=1):
        update, memory = opt.evaluate(namespace, t, x, g, memory, hyper)
        x = x - update
        yield x, update


def _value(opt, name, value):
    rule = type(opt).__name__
    if name not in opt.defaults:
        raise TypeError(unknown(rule, name, opt.defaults))
    default = opt.defaults[name]
    if isinstance(default, bool):
        return option(rule, name, value)
    if value is None and default is None:
        return None
    quantity = registry.Quantity(value)
    if quantity.dimensionless:
        return number(rule, name, quantity.m_as(""))
    return registry.Quantity(number(rule, name, quantity.magnitude), quantity.units)


def _inverse_root(matrix, eps):
    unit = matrix.units**0.5
    eps = (registry.Quantity(0.0, unit) + eps).magnitude
    apply = arithmetic.inverse_root(matrix.magnitude, eps)
    return lambda v: registry.Quantity(apply(v.magnitude), v.units / unit)


#: The namespace in which a rule does its mathematics when it is fed quantities.
namespace = SimpleNamespace(
    **{
        name: getattr(arithmetic, name)
        for name in ("sqrt", "maximum", "minimum", "abs", "sign", "where", "outer")
    },
    inverse_root=_inverse_root,
)
