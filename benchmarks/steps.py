"""One step of an array: the plain optimizer against the textbook, and the compiled against it."""

from __future__ import annotations

import functools

import numpy as np

from benchmarks import textbook
from benchmarks.measure import Case
from optimlib import RULES, Adam, arithmetic

_SIZES = (2, 100, 10_000, 1_000_000, 10_000_000)
_COMPILED_SIZES = (100, 1000, 3000, 10_000, 100_000, 1_000_000, 10_000_000)
_LARGE = 10_000_000


def cases(tiny):
    """Return the cases of steps."""
    sizes, compiled_sizes, large = _SIZES, _COMPILED_SIZES, _LARGE
    rules = [name for name, rule in RULES.items() if rule.elementwise]
    if tiny:
        sizes, compiled_sizes, large, rules = (2,), (100,), 1000, ["Nadam"]
    plain = [
        Case(
            f"Adam, n={n:,}, {dtype}: {'in place' if in_place else 'pure'} / textbook",
            functools.partial(_against_textbook, n, dtype, in_place),
            target={"float32": 1 / 3.3, "float64": 1 / 2.5}[dtype] if n == large else None,
        )
        for dtype in ("float32", "float64")
        for n in sizes
        for in_place in (False, True)
    ]
    every_rule = [
        Case(
            f"{name}, n={large:,}, float32: in place / its equation on whole arrays",
            functools.partial(_against_equation, name, large),
        )
        for name in rules
    ]
    compiled = [
        Case(
            f"Adam, n={n:,}, {dtype}: compiled / plain, in place",
            functools.partial(_compiled, n, dtype),
            needs=("numba", "sympy"),
        )
        for dtype in ("float32", "float64")
        for n in compiled_sizes
    ]
    return plain + every_rule + compiled


def _data(n, dtype):
    rng = np.random.default_rng(0)
    return rng.standard_normal(n).astype(dtype), rng.standard_normal(n).astype(dtype)


def _against_textbook(n, dtype, in_place):
    x, g = _data(n, dtype)
    reference = textbook.adam(x.copy())
    return _stepping(Adam(), x, g, in_place), lambda: reference(g)


def _stepping(opt, x, g, in_place=True):
    if in_place:
        return lambda: opt.step(x, g, out=x)
    iterate = [x]

    def step():
        iterate[0] = opt.step(iterate[0], g)
        return iterate[0]

    return step


def _against_equation(name, n):
    x, g = _data(n, "float32")
    opt = RULES[name]()
    opt.step(x, g)
    state = opt.state_dict()
    memory = {slot: state[slot] for slot in opt.active_slots()}
    memory |= {scalar: float(state[scalar]) for scalar in opt.scalars}
    last = [opt.t, x.copy(), memory]

    def equation():
        t, y, memory = last
        update, memory = opt.evaluate(arithmetic, t + 1, y, g, memory, {})
        last[:] = t + 1, y - update, memory
        return last[1]

    return _stepping(opt, x, g), equation


def _compiled(n, dtype):
    from optimlib.compiled import compiled

    x, g = _data(n, dtype)
    return _stepping(compiled(Adam()), x.copy(), g), _stepping(Adam(), x, g)
