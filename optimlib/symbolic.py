r"""Read a rule as mathematics: exact expressions, their LaTeX, iterates unrolled from the start.

The rule runs once on SymPy symbols, line by line as it stands. Symbols carry the book's names and
time indices: :math:`x_{t-1}` and :math:`m_{t-1}` go in, :math:`x_t` and :math:`m_t` come out.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace

try:
    import sympy
except ImportError as error:
    raise ImportError(
        "optimlib.symbolic needs SymPy, which is missing: pip install 'optimlib[symbolic]'"
    ) from error

from .base import Memory, Optimizer
from .hyper import number, option, unknown

# The notation of the book. A name that is not listed stands for itself.
_LETTERS = {
    "lr": "eta",
    "momentum": "mu",
    "dampening": "tau",
    "eps": "varepsilon",
    "eps_x": "varepsilon_x",
    "beta1": "beta_1",
    "beta2": "beta_2",
    "weight_decay": "lambda",
    "momentum_decay": "psi",
    "lr_decay": "delta",
    "eta_minus": r"\eta_{-}",
    "eta_plus": r"\eta_{+}",
    "step_min": r"\Delta_{\min}",
    "step_max": r"\Delta_{\max}",
    "step": r"\Delta",
    "prev": r"\tilde{g}",
    "mean": r"\bar{g}",
    "v_max": r"v^{\max}",
    "mu_product": "P",
}
# What is known of the memory besides being real: sums, means and maxima of squares or of sizes.
_KNOWN = {
    **{slot: {"nonnegative": True} for slot in ("v", "G", "D", "u", "v_max")},
    **{slot: {"positive": True} for slot in ("step", "mu_product")},
}


@dataclass(frozen=True)
class Expression:
    """One step of a rule in symbols.

    Attributes
    ----------
    update
        What is subtracted from x.
    x
        The new iterate.
    memory : dict
        The new value of each slot, by its name in the code.
    symbols : dict
        Every symbol that was fed in: ``x``, ``g``, ``t``, the slots and the hyperparameters, by
        their names in the code.
    """

    update: sympy.Basic
    x: sympy.Basic
    memory: dict
    symbols: dict


@dataclass(frozen=True)
class Unrolled:
    """The first n steps of a rule in symbols.

    Attributes
    ----------
    x : tuple
        The iterates :math:`x_0, …, x_n`.
    update : tuple
        What each step subtracts.
    g : tuple
        The gradients :math:`g_1, …, g_n`.
    memory : dict of tuples
        For each slot its start and its value after each step.
    symbols : dict
        The symbols of the hyperparameters and ``x``, the start, by their names in the code.
    """

    x: tuple
    update: tuple
    g: tuple
    memory: dict
    symbols: dict


@dataclass(frozen=True)
class Lines:
    """One step of a rule as a list of equations, operations in the rule's own order.

    Attributes
    ----------
    equations : tuple of pairs
        Symbol and expression, each using only symbols above it: the new memory in the order of
        the code, and the corrected moments (``m_hat``).
    update
        What is subtracted from x, in terms of those symbols.
    x : pair
        The last equation: the new iterate's symbol and expression.
    memory : dict
        The symbol that holds the new value of each slot.
    symbols : dict
        As in `Expression`.
    names : dict
        A name for code for each symbol that `equations` defines.
    hyper : dict
        What the rule was fed for each hyperparameter: a symbol, a number or an option.
    start : dict
        The memory before the first step.
    rule : Optimizer
    """

    equations: tuple
    update: sympy.Basic
    x: tuple
    memory: dict
    symbols: dict
    names: dict
    hyper: dict
    start: dict
    rule: Optimizer


def expression(rule, /, t=None, *, size=None, **hyperparameters) -> Expression:
    r"""Return one step of a rule as exact SymPy expressions.

    Parameters
    ----------
    rule : Optimizer or a class of them
        Hyperparameters become symbols; those that are 0 or None leave out their terms. Options
        (bools) choose the form.
    t : int or sympy.Expr, optional
        The step, from 1. Without it t is a symbol.
    size : int, optional
        For rules on vectors: 1 or 2 gives matrices of symbols. Without it x, g and the memory are
        matrix symbols of size n.
    **hyperparameters
        Options, numbers (they become exact: 0.9 is 9/10), or SymPy expressions.

    Raises
    ------
    TypeError, ValueError
        For unknown names, wrong types and values out of range, as the rule itself does.

    Notes
    -----
    Symbols are real and hyperparameters positive, t is a positive integer. SymPy cannot be told
    that :math:`\beta < 1`; where a proof needs it, substitute a positive symbol for
    :math:`1 - \beta^t`.

    Examples
    --------
    >>> from optimlib import Adam, RMSProp
    >>> expression(Adam).memory["m"]
    beta_1*m_{t-1} + g_{t}*(1 - beta_1)
    >>> expression(RMSProp, rho=0.75, eps=0).update
    eta*g_{t}/sqrt(g_{t}**2/4 + 3*v_{t-1}/4)
    """
    reading = _Reading(rule, t, size, hyperparameters)
    update, memory = reading.step(reading.x, reading.g, reading.memory)
    return Expression(update, reading.x - update, memory, reading.symbols)


def unroll(rule, /, steps: int, gradients=None, *, x0=None, size=None, **hyperparameters):
    r"""Run a rule from its start, exactly.

    Parameters
    ----------
    rule, size, **hyperparameters
        As in `expression`.
    steps : int
        Number of steps, at least 0.
    gradients : sequence or callable, optional
        One SymPy expression for each step, or a function x -> gradient. Without it the gradients
        are the symbols :math:`g_1, g_2, …`.
    x0 : sympy.Expr or number, optional
        Start. Without it the symbol :math:`x_0`.

    Returns
    -------
    Unrolled

    Examples
    --------
    >>> from optimlib import SGD, Adam
    >>> unroll(SGD, 3, lambda x: 2 * x).x[3].factor()
    -x_{0}*(2*eta - 1)**3
    >>> unroll(Adam, 2).memory["m"][2]
    beta_1*g_{1}*(1 - beta_1) + g_{2}*(1 - beta_1)
    """
    begin = _Reading(rule, 1, size, hyperparameters)
    steps = begin.opt._whole(steps, "steps", 0)
    if gradients is not None and not callable(gradients):
        gradients = list(gradients)
        if len(gradients) != steps:
            raise ValueError(
                f"{begin.rule}: {len(gradients)} gradients for {steps} steps; give one for each."
            )
    x, memory = begin.x if x0 is None else _plain(x0), begin.start()
    xs, updates, gs, memories = [x], [], [], {slot: [value] for slot, value in memory.items()}
    for t in range(1, steps + 1):
        reading = _Reading(rule, t, size, hyperparameters)
        if gradients is None:
            g = reading.g
        else:
            g = _plain(gradients(x) if callable(gradients) else gradients[t - 1])
        update, memory = reading.step(x, g, memory)
        x = x - update
        xs.append(x)
        updates.append(update)
        gs.append(g)
        for slot, value in memory.items():
            memories[slot].append(value)
    symbols = {"x": begin.x, **{k: begin.symbols[k] for k in begin.hyper if k in begin.symbols}}
    return Unrolled(
        tuple(xs), tuple(updates), tuple(gs), {k: tuple(v) for k, v in memories.items()}, symbols
    )


def lines(rule, /, t=None, **hyperparameters) -> Lines:
    """Return one step of a rule as its equations, line by line, nothing rearranged.

    Parameters
    ----------
    rule, t, **hyperparameters
        As in `expression`.

    Returns
    -------
    Lines

    Examples
    --------
    >>> from optimlib import Momentum
    >>> momentum = lines(Momentum)
    >>> momentum.equations, momentum.update
    (((b_{t}, b_{t-1}*mu + g_{t}),), b_{t}*eta)
    """
    reading = _Reading(rule, t, None, hyperparameters)
    recorder = _Recorder(reading)
    update, memory = reading.trace(reading.x, reading.g, recorder)
    update = recorder.corrected(update)
    with sympy.evaluate(not reading.opt.elementwise):
        x = reading.after("x"), reading.x - update
    return Lines(
        equations=tuple(recorder.equations),
        update=update,
        x=x,
        memory=memory,
        symbols=reading.symbols,
        names=recorder.names,
        hyper=reading.hyper,
        start=reading.start(),
        rule=reading.opt,
    )


def latex(rule, /, t=None, **hyperparameters) -> str:
    r"""Return the equations of a rule as an ``aligned`` block of LaTeX.

    Parameters
    ----------
    rule, t, **hyperparameters
        As in `expression`.

    Examples
    --------
    >>> from optimlib import Momentum
    >>> print(latex(Momentum))
    \begin{aligned}
    b_{t} &= \mu b_{t-1} + g_{t} \\
    x_{t} &= x_{t-1} - \eta b_{t}
    \end{aligned}
    """
    read = lines(rule, t, **hyperparameters)
    printed = [
        f"{sympy.latex(symbol)} &= {sympy.latex(value, order='none')}"
        for symbol, value in [*read.equations, read.x]
    ]
    return "\\begin{aligned}\n" + " \\\\\n".join(printed) + "\n\\end{aligned}"


# ---------------------------------------------------------------- what a rule is fed


def _sqrt(a):
    return sympy.sqrt(_plain(a), evaluate=True) if isinstance(a, int | float) else sympy.sqrt(a)


def _where(condition, a, b):
    if isinstance(condition, bool):
        return a if condition else b
    if a == b:
        return a
    others = b.args if isinstance(b, sympy.Piecewise) else [(b, True)]
    return sympy.Piecewise((a, condition), *others)


def _inverse_root(matrix, eps):
    if not isinstance(matrix, sympy.MatrixBase):
        root = matrix ** sympy.Rational(1, 2) + eps * sympy.Identity(matrix.rows)
        return lambda v: root.inv() * v
    if matrix.rows == 1:
        (a,) = matrix
        return lambda v: v * 0 if a == 0 else v / (sympy.sqrt(a) + eps)
    trace, det = matrix.trace(), sympy.factor(matrix.det())
    if det == 0:
        # Only one direction u was seen: the matrix is trace * u u^T.
        return lambda v: v * 0 if trace == 0 else matrix * v / (trace * (sympy.sqrt(trace) + eps))
    # By Cayley-Hamilton: the root is (matrix + delta I) / tau, its trace is tau, its determinant
    # delta; a 2x2 matrix A has the inverse (tr(A) I - A) / det(A).
    delta = sympy.sqrt(det)
    tau = sympy.sqrt(trace + 2 * delta)
    root = (matrix + delta * sympy.eye(2)) / tau
    inverse = ((tau + eps) * sympy.eye(2) - root) / (delta + eps * tau + eps**2)
    return lambda v: inverse * v


#: The namespace in which a rule does its mathematics when it is fed symbols.
namespace = SimpleNamespace(
    sqrt=_sqrt,
    maximum=sympy.Max,
    minimum=sympy.Min,
    abs=sympy.Abs,
    sign=sympy.sign,
    where=_where,
    outer=lambda a, b: a * b.T,
    inverse_root=_inverse_root,
)


class _Reading:
    """A rule, a step, and the symbols that it is fed."""

    def __init__(self, rule, t, size, given):
        self.opt = _optimizer(rule)
        self.rule = type(self.opt).__name__
        self.size = self._size(size)
        self.t = self._step(t)
        for name in given:
            if name not in self.opt.defaults:
                raise TypeError(unknown(self.rule, name, self.opt.defaults))
        names = Counter(["x", "g", "t", *self.opt.slots, *self.opt.scalars, *self.opt.defaults])
        name, times = names.most_common(1)[0]
        if times > 1:
            raise ValueError(f"{self.rule} has two things called {name!r}; rename one of them.")
        # A slot's start carries the slot's letter: G_0, not a letter of its own.
        self._starts = {
            start: self._symbol(slot, 0)
            for slot, start in self.opt.slots.items()
            if isinstance(start, str)
        }
        self.hyper = {name: self._fed(name, given) for name in self.opt.defaults}
        self._slots = self.opt.active_slots(**self.hyper)
        self._now = sympy.latex(self.t)
        before = f"{self.t - 1}" if isinstance(self.t, int) else f"{self._now}-1"
        self.x = self._array("x", before)
        self.g = self._array("g", self._now)
        self.memory = {slot: self._memory(slot, before) for slot in self._slots}
        self.memory |= {scalar: self._symbol(scalar, before) for scalar in self.opt.scalars}
        fed = {"x": self.x, "g": self.g, "t": self.t, **self.memory, **self.hyper}
        self.symbols = {
            name: value
            for name, value in fed.items()
            if isinstance(value, sympy.Symbol | sympy.MatrixSymbol | sympy.MatrixBase)
        }

    def _size(self, size):
        if self.opt.elementwise:
            if size is not None:
                raise ValueError(
                    f"{self.rule} treats each coordinate alone; size is for rules on vectors."
                )
            return None
        if size is None:
            return sympy.Symbol("n", integer=True, positive=True)
        if size not in (1, 2):
            raise ValueError(
                f"{self.rule}: size={size!r}; the root of a matrix has a closed form for 1 and 2. "
                "Leave size out for matrix symbols."
            )
        return size

    def _step(self, t):
        if t is None:
            return sympy.Symbol("t", integer=True, positive=True)
        return t if isinstance(t, sympy.Expr) and not t.is_number else self.opt._whole(t, "t", 1)

    def _fed(self, name, given):
        default, current = self.opt.defaults[name], self.opt._hyper[name]
        if isinstance(default, bool):
            return option(self.rule, name, given.get(name, current))
        if name in given:
            return self._value(name, given[name])
        if current is None or (isinstance(current, float) and current == 0):
            return current
        return self._starts.get(name) or sympy.Symbol(_letter(name), positive=True)

    def _value(self, name, value):
        if value is None and self.opt.defaults[name] is None:
            return None
        if isinstance(value, sympy.Expr) and not value.is_number:
            return value
        checked = number(self.rule, name, value)
        if not isinstance(checked, float):
            raise TypeError(
                f"{self.rule}: {name} is an array; give a number or a SymPy expression."
            )
        # A Python zero is how a rule knows that a term is not there.
        return checked if checked == 0 else _plain(value)

    def _symbol(self, name, index):
        return sympy.Symbol(f"{_letter(name)}_{{{index}}}", real=True, **_KNOWN.get(name, {}))

    def _array(self, name, index):
        if self.size is None:
            return self._symbol(name, index)
        name = f"{name}_{{{index}"
        if isinstance(self.size, sympy.Symbol):
            return sympy.MatrixSymbol(f"{name}}}", self.size, 1)
        return sympy.Matrix(
            [sympy.Symbol(f"{name},{i + 1}}}", real=True) for i in range(self.size)]
        )

    def _memory(self, slot, index):
        if self.size is None:
            return self._symbol(slot, index)
        name = f"{_letter(slot)}_{{{index}"
        if isinstance(self.size, sympy.Symbol):
            return sympy.MatrixSymbol(f"{name}}}", self.size, self.size)
        return sympy.Matrix(
            self.size,
            self.size,
            lambda i, j: sympy.Symbol(f"{name},{min(i, j) + 1}{max(i, j) + 1}}}", real=True),
        )

    def after(self, name):
        """Return the symbol for the new value of x or of a slot."""
        if name == "x":
            return self._array(name, self._now)
        if name in self.opt.scalars:
            return self._symbol(name, self._now)
        return self._memory(name, self._now)

    def start(self):
        """Return the memory before the first step."""
        memory = {slot: self.hyper.get(start, start) for slot, start in self._slots.items()}
        if self.size is not None:
            zero = sympy.ZeroMatrix if isinstance(self.size, sympy.Symbol) else sympy.zeros
            memory = dict.fromkeys(memory, zero(self.size, self.size))
        return {slot: _plain(value) for slot, value in {**memory, **self.opt.scalars}.items()}

    def trace(self, x, g, memory):
        """Run the rule; keep every operation as it stands, but for factors of one and zeros."""
        with sympy.evaluate(not self.opt.elementwise):
            update, new = self.opt.evaluate(namespace, self.t, x, g, memory, self.hyper)
            new = {slot: self.finish(value) for slot, value in new.items()}
            return self.finish(update), new

    def finish(self, value):
        return exact(value) if self.opt.elementwise else _plain(value)

    def step(self, x, g, memory):
        """Run the rule and let SymPy simplify as it does by itself."""
        update, new = self.trace(x, g, memory)
        return update.doit(), {slot: value.doit() for slot, value in new.items()}


class _Recorder(Memory):
    """A memory that gives each value a symbol when it is bound, and writes the equations down."""

    __slots__ = ("equations", "names", "reading")

    def __init__(self, reading):
        super().__init__(**reading.memory)
        object.__setattr__(self, "reading", reading)
        object.__setattr__(self, "equations", [])
        object.__setattr__(self, "names", {})

    def __setattr__(self, slot, value):
        value = self.corrected(self.reading.finish(value))
        self.__dict__[slot] = self._define(self.reading.after(slot), slot, value)

    def _define(self, symbol, name, value):
        while symbol in self.names:  # bound before in the same step
            symbol, name = _renamed(symbol, f"{symbol.name}'"), f"{name}_"
        self.equations.append((symbol, value))
        self.names[symbol] = name
        return symbol

    def corrected(self, value):
        """Define and use a symbol with a hat for each new value over a factor without arrays."""
        if not self.reading.opt.elementwise:
            return value
        hats = {value: symbol for symbol, value in self.equations}
        arrays = {self.reading.x, self.reading.g, *self.reading.memory.values(), *self.names}

        def hat(node):
            if not (node.is_Mul and len(node.args) == 2 and node.args[0] in self.names):
                return node
            new, factor = node.args
            if not (factor.is_Pow and factor.exp == -1 and factor.base.args):
                return node
            if factor.base.free_symbols & arrays:
                return node
            if node not in hats:
                symbol = _renamed(new, re.sub("^[^_^]*", r"\\hat{\g<0>}", new.name))
                hats[node] = self._define(symbol, f"{self.names[new]}_hat", node)
            return hats[node]

        with sympy.evaluate(False):
            return _mapped(hat, value)


def _optimizer(rule) -> Optimizer:
    opt = rule() if isinstance(rule, type) and issubclass(rule, Optimizer) else rule
    if not isinstance(opt, Optimizer):
        raise TypeError(f"expected an optimizer or its class, e.g. Adam; got {rule!r}.")
    return opt


def _letter(name):
    return _LETTERS.get(name, name)


def _renamed(symbol, name):
    if isinstance(symbol, sympy.MatrixSymbol):
        return sympy.MatrixSymbol(name, *symbol.shape)
    return sympy.Symbol(name, **symbol.assumptions0)


def _mapped(function, expr):
    """Rebuild an expression from its leaves up, each node replaced by ``function(node)``."""
    if expr.args:
        expr = expr.func(*[_mapped(function, arg) for arg in expr.args])
    return function(expr)


def _plain(value):
    """Return a number or an expression with every float made the rational that it prints as."""
    if isinstance(value, int | float | Fraction):
        return sympy.oo if value == math.inf else sympy.Rational(str(value))
    value = sympy.sympify(value)
    return value.xreplace({f: sympy.Rational(repr(float(f))) for f in value.atoms(sympy.Float)})


def exact(value):
    """Do what a reader does without looking: 0.1 is 1/10, 1 m is m, m + 0 is m, 1 - 0.9 is 1/10."""
    return _mapped(_tidied, sympy.sympify(value))


def _tidied(node):
    if isinstance(node, sympy.Float):
        return _plain(node)
    if node.args and isinstance(node, sympy.Expr) and not node.free_symbols:
        with sympy.evaluate(True):
            return node.doit()
    if not (node.is_Add or node.is_Mul):
        return node
    if node.is_Mul and 0 in node.args:
        return sympy.Integer(0)
    neutral = 0 if node.is_Add else 1
    kept = [arg for arg in node.args if arg != neutral]
    return node.func(*kept) if len(kept) > 1 else kept[0]
