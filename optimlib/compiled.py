"""The same step in one pass over the memory: a rule's equation compiled to a loop by Numba.

SymPy runs the rule once. What is the same for every coordinate (``1 - beta1**t``) is taken out of
the loop and computed in Python, as the plain optimizer does; the rest is printed, operation by
operation in the rule's order, as the body of one loop. Nothing is rearranged and no fast-math flag
is set, so the results are the plain optimizer's.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .base import Optimizer
from .hyper import an_instance
from .leaf import same_elements

# Waking a thread costs more than it saves on fewer elements than this.
_SMALLEST_SHARE = 2**15


def compiled(opt: Optimizer, threads: int = 1) -> Optimizer:
    """Return an optimizer that takes the same steps by compiled loops.

    Parameters
    ----------
    opt : Optimizer
        Hyperparameters, schedules, steps done and memory are taken over; ``opt`` stays as it is.
    threads : int, default 1
        How many threads share a large array.

    Returns
    -------
    Optimizer
        Of a subclass of ``type(opt)`` with the same name, arguments, checks and ``state_dict()``.

    Raises
    ------
    ImportError
        If Numba or SymPy is not installed.
    TypeError
        For a rule on vectors (`FullAdaGrad`), and for one that SymPy cannot run.

    Notes
    -----
    Numba compiles at the first step with a rule, its options and a dtype, which takes about a
    second; changing a hyperparameter compiles nothing. Sweeps and dtypes beyond float64 are
    computed as the plain optimizer computes them.

    For small arrays the plain optimizer is faster, because calling a loop costs more than a few
    operations of NumPy. Adam in place takes about twice as long compiled at 100 numbers, and one
    and a half times as long at 1,000; they are even between 3,000 (float64) and 10,000 (float32),
    and from 100,000 on the loop takes a fifth to a third of the time. ``make bench`` measures it.

    Examples
    --------
    >>> from optimlib import Adam
    >>> opt = compiled(Adam(lr=0.1, eps=0.0))
    >>> opt.step(np.ones(3), np.array([20.0, -20.0, 0.0]))
    array([0.9, 1.1, 1. ])
    """
    if not isinstance(opt, Optimizer):
        raise TypeError(an_instance("compiled: opt", opt))
    rule = type(opt).__name__
    threads = opt._whole(threads, "threads", 1)
    if not opt.elementwise:
        raise TypeError(
            f"{rule} works on vectors; only rules that treat each coordinate alone are compiled. "
            "Use it as it is."
        )
    plain = opt._plain if isinstance(opt, _Compiled) else type(opt)
    new = _compiled_class(plain)(check_finite=opt._check_finite, **opt._hyper)
    new._threads = threads
    new.load_state_dict(opt.state_dict())
    new._program_for(opt._hyper, opt.active_slots())
    return new


class _Compiled:
    """Write each leaf by a compiled loop; everything else is the rule's own."""

    _plain = None
    _threads = 1

    def fresh(self):
        new = super().fresh()
        new._threads = self._threads
        return new

    def __reduce__(self):
        return _blank, (self._plain,), self.__dict__

    def _program_for(self, values, slots):
        """Return the program for these hyperparameters and slots of memory."""
        kinds = {}
        for name, default in self.defaults.items():
            value = values[name]
            needing = [slot for slot, needed in self.needs.items() if needed == name]
            if isinstance(default, bool) or value is None:
                kinds[name] = value
            elif needing:
                kinds[name] = "symbol" if any(slot in slots for slot in needing) else 0.0
            elif default in (None, 0.0) and name != "eps" and isinstance(value, float):
                # A plain zero is how a rule knows that a term is not there.
                kinds[name] = "symbol" if value else 0.0
            else:
                kinds[name] = "symbol"
        return _program(self._plain, tuple(kinds.items()))

    def _in_blocks(self, leaf):
        ours = leaf.dtype in (np.float32, np.float64) and not leaf.setting.swept
        if not ours or any(not isinstance(leaf.memory[name], float) for name in self.scalars):
            return super()._in_blocks(leaf)
        program = self._program_for(leaf.setting.h.__dict__, leaf.memory)
        # Compiled here, where nothing has been written yet.
        leaf.program = program
        leaf.in_place = _is_in_place(leaf)
        leaf.loop = program.loop(leaf.dtype, leaf.setting.guarded, leaf.in_place)
        return True

    def _write_in_blocks(self, t, leaf):
        if not hasattr(leaf, "loop"):
            super()._write_in_blocks(t, leaf)
            return
        x, g = leaf.x.reshape(-1), leaf.g.reshape(-1)
        result = leaf.out if leaf.out is not None else np.empty(leaf.shape, leaf.kept)
        direct = result.flags.c_contiguous and leaf.kept == leaf.dtype
        flat = np.asarray(result).reshape(-1) if direct else np.empty(x.shape, leaf.dtype)
        arrays, scalars = self._flat_memory(leaf)
        constants, scalars = leaf.program.constants(t, leaf.setting, scalars, leaf.dtype)
        data = [flat, g] if leaf.in_place else [x, g, flat]
        data += [arrays[slot] for slot in leaf.program.slots]
        self._progress.torn = True
        _share(leaf.loop, data, constants, self._threads)
        if not direct:
            result[...] = flat.reshape(result.shape)
        leaf.memory.update(scalars)
        leaf.result = result[()] if leaf.scalar else result


@functools.cache
def _compiled_class(plain):
    """Return the one compiled subclass of a rule."""
    body = {"_plain": plain, "__doc__": plain.__doc__, "__module__": plain.__module__}
    return type(plain.__name__, (_Compiled, plain), body)


def _blank(plain):
    new = _compiled_class(plain)
    return new.__new__(new)


def _is_in_place(leaf):
    out = leaf.out
    return out is not None and out.flags.c_contiguous and same_elements(leaf.x, out)


def _share(loop, arrays, constants, threads):
    """Run a loop over parts of the arrays, a part for each thread."""
    size = arrays[0].size
    parts = max(1, min(threads, size // _SMALLEST_SHARE))
    if parts == 1:
        loop(*arrays, *constants)
        return
    first, *others = itertools.pairwise(size * i // parts for i in range(parts + 1))
    # A process that was forked off has none of its parent's threads, so it needs a pool of its own.
    pool = _pool(parts - 1, os.getpid())
    futures = [pool.submit(loop, *(a[slice(*part)] for a in arrays), *constants) for part in others]
    loop(*(a[slice(*first)] for a in arrays), *constants)
    for future in futures:
        future.result()


@functools.cache
def _pool(workers, process):
    return ThreadPoolExecutor(workers, thread_name_prefix="optimlib")


# ---------------------------------------------------------------- from equations to loops


@functools.cache
def _program(plain, kinds):
    return _Program(plain, dict(kinds))


class _Program:
    """The code of a rule with its options: what is computed once a step, and the loops."""

    def __init__(self, plain, kinds):
        self._numba, sympy, symbolic, printing = _readers()
        hyper = [name for name, kind in kinds.items() if kind == "symbol"]
        given = kinds | {name: sympy.Symbol(name, positive=True) for name in hyper}
        try:
            read = symbolic.lines(plain, **given)
        except (AttributeError, TypeError) as error:
            raise TypeError(
                f"{plain.__name__}.update cannot be compiled, because SymPy cannot run it: {error}"
            ) from error
        scalars = list(plain.scalars)
        self.slots = [slot for slot in read.memory if slot not in scalars]
        update = sympy.Symbol("update")
        names = {read.symbols[name]: name for name in ("t", *hyper, *scalars)}
        names |= {read.symbols[name]: f"{name}_i" for name in ("x", "g")}
        names |= {read.symbols[slot]: f"{slot}_old" for slot in self.slots}
        names |= {symbol: f"{name}_new" for symbol, name in read.names.items()} | {update: "update"}

        # Equations without coordinates, and those with them, whose other parts become constants.
        arrays = {read.symbols[name] for name in ("x", "g", *self.slots)}
        split = _Splitter(sympy, arrays)
        once, loop = [], []
        with sympy.evaluate(False):
            for symbol, value in [*read.equations, (update, read.update)]:
                if value.free_symbols & arrays or symbol == update:
                    loop.append((symbol, split.hoisted(value)))
                    arrays.add(symbol)
                else:
                    once.append((symbol, value))
        constants = {symbol: f"constant{i}" for i, symbol in enumerate(split.constants.values())}
        names |= constants
        once += [(symbol, value) for value, symbol in split.constants.items()]

        code = printing.Python(names)
        lines = [f"{names[s]} = {code.print(v)}" for s, v in printing.shared(once, names, "once")]
        new = ", ".join(f"{name!r}: {names[read.memory[name]]}" for name in scalars)
        head = ", ".join(["t", *hyper, *scalars])
        lines.append(f"return [{', '.join(constants.values())}], {{{new}}}")
        self._once = _function("once", head, lines, _SCOPE)
        self._hyper = hyper

        self._bound = {
            slot: names[read.memory[slot]]
            for slot in self.slots
            if read.memory[slot] != read.symbols[slot]
        }
        loop = printing.shared(loop, names)
        self._lines = [f"{names[s]} = {code.print(v)}" for s, v in loop]
        # The same once more for what is not finite, from other constants to other names.
        spare = {s: f"{names[s]}_spare" for s in (*constants, *(symbol for symbol, _ in loop))}
        code = printing.Python(names | spare)
        self._spare_lines = [f"{spare[s]} = {code.print(v)}" for s, v in loop]
        self._arguments = list(constants.values()), [spare[symbol] for symbol in constants]
        self._are_bool = [value.is_Boolean for value in split.constants]
        self._loops, self._ready = {}, set()

    def constants(self, t, setting, scalars, dtype):
        """Return the numbers that the loop needs, in its dtype, and the new scalars."""
        hyper = {name: getattr(setting.h, name) for name in self._hyper}
        values, new = self._once(t, **hyper, **scalars)
        if setting.guarded:
            values = values + self._once(t, **{**hyper, "eps": 1.0}, **scalars)[0]
        return [v if isinstance(v, bool) else dtype.type(v) for v in values], new

    def loop(self, dtype, guarded, in_place):
        """Return the loop over ``x, g, out`` and the slots, or ``x, g`` and the slots in place."""
        loop = self._loops.get((guarded, in_place))
        if loop is None:
            jit = self._numba.njit(error_model="numpy", nogil=True)
            loop = self._loops[guarded, in_place] = jit(self._written(guarded, in_place))
        if (dtype, loop) not in self._ready:
            # A run over nothing compiles it.
            nothing = [np.empty(0, dtype)] * (len(self.slots) + (2 if in_place else 3))
            loop(*nothing, *[b or dtype.type(1) for b in self._are_bool] * (1 + guarded))
            self._ready.add((dtype, loop))
        return loop

    def _written(self, guarded, in_place):
        constants, spare = self._arguments
        data = ["x", "g", *([] if in_place else ["out"]), *(f"all_{slot}" for slot in self.slots)]
        each = ["x_i = x[i]", "g_i = g[i]"]
        each += [f"{slot}_old = all_{slot}[i]" for slot in self.slots]
        each += self._lines
        if guarded:
            lost = [*self._spare_lines, "update = update_spare"]
            lost += [f"{n} = {n}_spare if {n} - {n} != 0 else {n}" for n in self._bound.values()]
            # What is not finite differs from itself, or from 0 when taken from itself.
            each += ["if update - update != 0 and g_i - g_i == 0:", *(f"    {x}" for x in lost)]
        each += [f"{'x' if in_place else 'out'}[i] = x_i - update"]
        each += [f"all_{slot}[i] = {name}" for slot, name in self._bound.items()]
        body = ["for i in range(g.size):", *(f"    {line}" for line in each)]
        arguments = [*data, *constants, *(spare if guarded else [])]
        return _function("loop", ", ".join(arguments), body, _compiled_scope())


class _Splitter:
    """Take out of expressions what is the same for every coordinate."""

    def __init__(self, sympy, arrays):
        self.sympy, self.arrays, self.constants = sympy, arrays, {}

    def hoisted(self, node):
        """Return an expression with a symbol for each part that has no coordinates in it.

        Numbers are such parts too: a literal would widen float32.
        """
        sympy = self.sympy
        if not node.free_symbols & self.arrays and isinstance(node, sympy.Expr | sympy.Rel):
            return self.constants.setdefault(node, sympy.Symbol(f"constant{len(self.constants)}"))
        if node.is_Mul:
            first, *others = node.args
            first = first if first == -1 else self.hoisted(first)
            return sympy.Mul(first, *map(self._factor, others))
        if node.is_Pow:
            return self._power(*node.args)
        return node.func(*map(self.hoisted, node.args)) if node.args else node

    def _factor(self, node):
        # Dividing by a constant is not the same as multiplying by its inverse, after rounding.
        if node.is_Pow and node.exp == -1:
            return self.hoisted(node.base) ** -1
        return self.hoisted(node)

    def _power(self, base, exponent):
        sympy = self.sympy
        if exponent.is_Rational and exponent < 0:
            divisor = base if exponent == -1 else base**-exponent
            return self.hoisted(sympy.S.One) / self.hoisted(divisor)
        # These are printed as products and roots; any other exponent is a number like others.
        kept = exponent in (2, 3, 4, sympy.S.Half)
        return self.hoisted(base) ** (exponent if kept else self.hoisted(exponent))


def _maximum(a, b):
    # Not a number as soon as one of the two is, as NumPy's.
    return a if a >= b or a != a else b


def _minimum(a, b):
    return a if a <= b or a != a else b


_SCOPE = {
    "math": math,
    "sqrt": math.sqrt,
    "sign": np.sign,
    "maximum": _maximum,
    "minimum": _minimum,
}


def _function(name, arguments, lines, scope):
    """Return the function of that source; the names in it are those of a scope."""
    scope = dict(scope)
    exec("\n    ".join([f"def {name}({arguments}):", *lines]), scope)
    return scope[name]


@functools.cache
def _compiled_scope():
    jit = _readers()[0].njit
    return _SCOPE | {"maximum": jit(_maximum), "minimum": jit(_minimum)}


@functools.cache
def _readers():
    try:
        import numba
        import sympy
    except ImportError as error:
        raise ImportError(
            f"optimlib.compiled needs {error.name}, which is missing: "
            "pip install 'optimlib[compiled]'"
        ) from error
    from . import printing, symbolic

    return numba, sympy, symbolic, printing
