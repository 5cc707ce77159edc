"""Hyperparameters: their ranges, their errors, and arrays of them (sweeps)."""

from __future__ import annotations

import functools
import math
import numbers
import reprlib

import numpy as np

# name: (lowest, is it allowed, highest, is it allowed)
_RANGES = {
    "lr": (0, True, math.inf, False),
    "momentum": (0, True, 1, False),
    "dampening": (0, True, 1, True),
    "rho": (0, True, 1, False),
    "eps": (0, True, math.inf, False),
    "eps_x": (0, True, math.inf, False),
    "beta1": (0, True, 1, False),
    "beta2": (0, True, 1, False),
    "weight_decay": (0, True, math.inf, False),
    "momentum_decay": (0, True, math.inf, True),
    "lr_decay": (0, True, math.inf, False),
    "initial": (0, True, math.inf, False),
    "eta_minus": (0, False, 1, False),
    "eta_plus": (1, False, math.inf, False),
    "step_min": (0, True, math.inf, False),
    "step_max": (0, False, math.inf, False),
}

# What other libraries call the same thing. Of each name, the first line whose left side is one of
# the rule's own hyperparameters, or the rule itself, says what is meant.
_ELSEWHERE = {
    "learning_rate": {"lr": "lr"},
    "learning_rate_init": {"lr": "lr"},
    "init_lr": {"lr": "lr"},
    "step_size": {"lr": "lr"},
    "stepsize": {"lr": "lr"},
    "eta": {"lr": "lr"},
    "alpha": {"rho": "rho", "lr": "lr"},
    "gamma": {"rho": "rho", "momentum": "momentum"},
    "decay": {
        "rho": "rho",
        "lr_decay": "lr_decay",
        "lr": "a schedule, lr=InverseTime(0.1, rate=0.01) of optimlib.schedules",
    },
    "decay_rate": {"rho": "rho"},
    "schedule": {"lr": "lr, which may be a schedule"},
    "scheduler": {"lr": "lr, which may be a schedule"},
    "epsilon": {"eps": "eps"},
    "eps_root": {"eps_inside": "eps with eps_inside=True"},
    "betas": {"beta1": "beta1 and beta2"},
    "b1": {"beta1": "beta1"},
    "b2": {"beta2": "beta2"},
    "beta_1": {"beta1": "beta1"},
    "beta_2": {"beta2": "beta2"},
    "beta": {"momentum": "momentum"},
    "mu": {"momentum": "momentum"},
    "mass": {"momentum": "momentum"},
    "momentum": {"SGD": "the rule Momentum", "beta1": "beta1"},
    "dampening": {"SGD": "the rule Momentum"},
    "nesterov": {
        "SGD": "the rule Nesterov",
        "Momentum": "the rule Nesterov",
        "Adam": "the rule Nadam",
    },
    "amsgrad": dict.fromkeys(("Adam", "AdamW", "AdamL2"), "the rule AMSGrad"),
    "weight_decay": {"Adam": "the rule AdamW, or AdamL2 for an L2 penalty"},
    "decoupled_weight_decay": {"Adam": "the rule AdamW"},
    "wd": {"weight_decay": "weight_decay"},
    "l2": {"weight_decay": "weight_decay", "Adam": "the rule AdamL2"},
    "initial_accumulator_value": {"initial": "initial"},
    "initial_scale": {"initial": "initial"},
    "etas": {"eta_minus": "eta_minus and eta_plus"},
    "step_sizes": {"step_min": "step_min and step_max"},
}


def unknown(rule: str, name: str, known) -> str:
    """Return the message for a hyperparameter that the rule does not have."""
    import difflib  # only a mistake needs it

    meant = _ELSEWHERE.get(name, {})
    close = difflib.get_close_matches(name.lower(), known, n=1)
    hints = [hint for whose, hint in meant.items() if whose in known or whose == rule] + close
    asked = f" Did you mean {hints[0]}?" if hints else ""
    return f"{rule} has no hyperparameter {name!r}.{asked} It has: {', '.join(known)}."


def by_name(rule: str, given: tuple, known) -> str:
    """Return the message for hyperparameters that were given without their names."""
    first, shown = given[0], ", ".join(map(reprlib.repr, given))
    example = f"{rule}({next(iter(known), 'lr')}="
    if callable(first) or isinstance(first, dict | list | tuple) or np.ndim(first):
        return (
            f"{rule} takes hyperparameters, by name: got {rule}({shown}). Make an optimizer, "
            f"opt = {example}0.1), and give the parameters to opt.step(x, g), a gradient function "
            "to opt.run(grad, x0, steps), and opt itself, not its class, to SciPy as method."
        )
    value = first if isinstance(first, numbers.Real) else 0.1
    return (
        f"{rule} takes hyperparameters by name: got {rule}({shown}); write {example}{value!r}). "
        f"It has: {', '.join(known)}."
    )


def an_instance(what: str, given) -> str:
    """Return the message for something in the place of an optimizer."""
    if isinstance(given, type):
        name = given.__name__
        return f"{what} is the class {name}; an instance was expected: call it, {name}(lr=0.1)."
    return f"{what} is {reprlib.repr(given)}; expected an optimizer, e.g. Adam(lr=0.1)."


def within(name: str) -> str:
    """Return the allowed range of a hyperparameter in words.

    >>> within("beta1")
    '0 <= beta1 < 1'
    """
    low, low_in, high, high_in = _range(name)
    return f"{low} {'<=' if low_in else '<'} {name} {'<=' if high_in else '<'} {high}"


def _range(name):
    # A rule of a reader's own may bring names that this table has not seen.
    return _RANGES.get(name, (-math.inf, False, math.inf, False))


def number(rule: str, name: str, value):
    """Check a numeric hyperparameter; return a Python float, or a `Swept` for an array.

    Python floats never widen a float32 array, NumPy's do; that is why every scalar becomes one.

    Raises
    ------
    TypeError
        If ``value`` is not a real number or an array of them.
    ValueError
        If a value is NaN or outside the range of `within`.
    """
    if isinstance(value, _NO_NUMBERS) or is_masked(value):
        raise TypeError(_not_a_number(rule, name, value))
    if not isinstance(value, list | tuple) and np.ndim(value) == 0:
        return _single(rule, name, value)
    try:
        array = np.asarray(value)
    except ValueError:  # lists of unequal lengths
        raise TypeError(_not_a_number(rule, name, value)) from None
    if array.dtype.kind not in "fiu":
        raise TypeError(_not_a_number(rule, name, value))
    if array.size == 0:
        raise ValueError(f"{rule}: {name} is an empty array; a sweep needs at least one value.")
    array = array.astype(np.float64)
    low, low_in, high, high_in = _range(name)
    good = (array >= low if low_in else array > low) & (array <= high if high_in else array < high)
    if not good.all():
        where = tuple(int(i) for i in np.argwhere(~good)[0])
        first = float(array[where])
        _check_range(rule, name, first, first, f" at index {where}")
    return array.view(Swept)


# Things that Python, or NumPy, would turn into a float without a word.
_NO_NUMBERS = bool | np.bool_ | str | bytes | None | complex | np.complexfloating


def is_masked(value) -> bool:
    """Tell whether a value is a masked array; NumPy's class of them would have to be imported."""
    return isinstance(value, np.ndarray) and hasattr(value, "mask")


def _single(rule, name, value):
    if isinstance(value, np.ndarray) and value.dtype.kind not in "fiu":
        raise TypeError(_not_a_number(rule, name, value))
    try:
        single = float(value)
    except (TypeError, ValueError):
        raise TypeError(_not_a_number(rule, name, value)) from None
    except OverflowError:  # an integer of more than 308 digits
        single = math.inf
    _check_range(rule, name, single, value)
    return single


def show(value) -> str:
    """Return a hyperparameter as it is printed: stable, and on one line.

    >>> show(number("Adam", "lr", [0.1, 0.2]))
    '<2 values from 0.1 to 0.2>'
    """
    if isinstance(value, Swept):
        return f"<{'x'.join(map(str, value.shape))} values from {value.min():g} to {value.max():g}>"
    shown = repr(value)
    # The repr of a function or of a plain object holds its address, which changes every time.
    if callable(value) and " at 0x" in shown:
        return getattr(value, "__qualname__", type(value).__name__)
    return shown


def _not_a_number(rule, name, value):
    return (
        f"{rule}: {name}={reprlib.repr(value)} is a {type(value).__name__}; expected a real "
        "number, an array of them (a sweep), or a callable t -> value (a schedule)."
    )


def _check_range(rule, name, value, given, place=""):
    low, low_in, high, high_in = _range(name)
    above = value >= low if low_in else value > low
    below = value <= high if high_in else value < high
    if not (above and below):
        raise ValueError(
            f"{rule}: {name}={reprlib.repr(given)}{place} is out of range; expected {within(name)}."
        )


def check_together(rule: str, values: dict) -> tuple:
    """Check hyperparameters against one another; return the shape of the grid of runs.

    Raises
    ------
    ValueError
        If arrays do not align at their leading axes, or ``step_min`` is above ``step_max``.
    """
    sweeps = {name: value for name, value in values.items() if isinstance(value, Swept)}
    rank = max((value.ndim for value in sweeps.values()), default=0)

    def aligned(value):
        return np.reshape(value, np.shape(value) + (1,) * (rank - np.ndim(value)))

    try:
        grid = np.broadcast_shapes(*(aligned(value).shape for value in sweeps.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {value.shape}" for name, value in sweeps.items())
        raise ValueError(
            f"{rule}: these arrays do not align at their leading axes: {shapes}. Give axes that "
            "vary together the same length, and others length 1."
        ) from None
    low, high = values.get("step_min"), values.get("step_max")
    known = low is not None and high is not None and not callable(low) and not callable(high)
    if known and np.any(aligned(low) > aligned(high)):
        raise ValueError(f"{rule}: step_min={show(low)} is above step_max={show(high)}; swap them.")
    return grid


def option(rule: str, name: str, value) -> bool:
    """Check a yes-or-no option; return a Python bool."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(
            f"{rule}: {name}={value!r} is a {type(value).__name__}; expected True or False."
        )
    return bool(value)


def used(value) -> bool:
    """Tell whether a term with this factor does anything: ``False`` for a plain zero only.

    A symbol, a quantity or an array of hyperparameters counts as used.

    >>> used(0.0), used(0.1), used(np.zeros(2))
    (False, True, True)
    """
    return not (isinstance(value, float) and value == 0.0)


class Swept(np.ndarray):
    """An array of hyperparameters, one for each run of a sweep.

    It keeps a row of a sweep equal to its single run, to the last bit: terms made of
    hyperparameters alone (``1 - beta1**t``) are computed in float64, as they are with Python
    floats, and only meet the data's dtype when they meet the data; powers go through Python's own
    ``**``, because NumPy's vectorised power rounds differently on different processors.
    """

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        data = [a.dtype for a in inputs if isinstance(a, np.ndarray) and not isinstance(a, Swept)]
        plain = [a.view(np.ndarray) if isinstance(a, Swept) else a for a in inputs]
        if data:
            dtype = np.result_type(*data)
            if dtype.kind == "f":
                plain = [
                    p.astype(dtype) if isinstance(a, Swept) else p
                    for a, p in zip(inputs, plain, strict=True)
                ]
            return getattr(ufunc, method)(*plain, **kwargs)
        result = getattr(ufunc, method)(*plain, **kwargs)
        return result.view(Swept) if isinstance(result, np.ndarray) else result

    @functools.cached_property
    def _distinct(self):
        # A flat list of the cells of a grid repeats its values: each is raised to a power once.
        return np.unique(self.view(np.ndarray), return_inverse=True)

    def __pow__(self, exponent):
        if np.ndim(exponent):
            return _power(self, exponent)
        values, places = self._distinct
        powers = np.array([value**exponent for value in values.tolist()])
        return powers[places].reshape(self.shape).view(Swept)

    def __rpow__(self, base):
        return _power(base, self)


def _power(base, exponent):
    if any(isinstance(a, np.ndarray) and not isinstance(a, Swept) for a in (base, exponent)):
        return np.power(base, exponent)
    bases, exponents = np.broadcast_arrays(base, exponent)
    pairs = zip(bases.ravel().tolist(), exponents.ravel().tolist(), strict=True)
    return np.array([b**e for b, e in pairs]).reshape(bases.shape).view(Swept)
