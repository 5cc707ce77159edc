"""Turn a rule's equations into code: share what recurs, and keep the order of the operations.

Floating-point numbers round after every operation, so code gives what NumPy gives only if it does
the same operations in the same order. SymPy's own printers sort factors and terms; these do not.
One thing SymPy cannot tell apart: ``a * (1 / b)`` is ``a / b`` to it.
"""

from __future__ import annotations

from collections import Counter

import sympy
from sympy.printing.jscode import JavascriptCodePrinter
from sympy.printing.pycode import PythonCodePrinter


def shared(equations, names, prefix="r"):
    """Give every expression that recurs in some equations an equation of its own.

    Parameters
    ----------
    equations : iterable of pairs
        Symbol and expression; each uses only symbols above it.
    names : dict
        The code name of every symbol; the new symbols are added.
    prefix : str
        What the new names begin with, before a number.

    Returns
    -------
    list of pairs
        Equations with the same meaning, each using only symbols above it.

    Examples
    --------
    >>> x, y, z = sympy.symbols("x y z")
    >>> shared([(y, 1 / (x + 1)), (z, sympy.sqrt(x + 1))], {x: "x"})
    [(r1, x + 1), (y, 1/r1), (z, sqrt(r1))]
    """
    equations = list(equations)
    seen = Counter()
    for _, expr in equations:
        _count(expr, seen)
    taken, found, result = set(names.values()), {}, []

    def visit(node):
        if node in found:
            return found[node]
        if not node.args:
            return node
        new = node.func(*[visit(arg) for arg in node.args])
        if seen[node] < 2:
            return new
        number = len(found) + 1
        while f"{prefix}{number}" in taken:
            number += 1
        taken.add(f"{prefix}{number}")
        found[node] = sympy.Symbol(f"{prefix}{number}")
        names[found[node]] = f"{prefix}{number}"
        result.append((found[node], new))
        return found[node]

    with sympy.evaluate(False):
        for symbol, expr in equations:
            result.append((symbol, visit(expr)))
    return result


def _count(node, seen):
    if not _is_an_operation(node):
        for arg in node.args:
            _count(arg, seen)
        return
    seen[node] += 1
    if seen[node] > 1:
        return
    for arg in node.args:
        # A product names its factor as often as the power says.
        for _ in range(int(node.exp) if _is_product(node) and arg is node.base else 1):
            _count(arg, seen)


def _is_an_operation(node):
    """Tell whether a node is worth a name: not a leaf, the sign of a term, or a divisor."""
    if not isinstance(node, sympy.Expr) or not node.args:
        return False
    if node.is_Mul and node.args[0] == -1:
        return False
    return not (node.is_Pow and node.exp == -1)


def _is_product(node):
    return node.is_Pow and node.exp in (2, 3, 4)


# How tightly what is printed holds together.
_SUM, _PRODUCT, _ATOM = 1, 2, 3


class _InOrder:
    """Print sums, products and powers operand by operand, left to right."""

    def __init__(self, names):
        super().__init__({"human": False})
        self._names = names

    def print(self, expr) -> str:
        """Return the code of an expression.

        Raises
        ------
        ValueError
            If it holds a function that the language lacks, or a symbol without a name.
        """
        nameless = expr.free_symbols - self._names.keys()
        if nameless:
            raise ValueError(
                f"{', '.join(sorted(map(str, nameless)))} has no name in the printed code; give a "
                "number for it."
            )
        constants, unknown, printed = self.doprint(expr)
        if constants or unknown:
            raise ValueError(
                f"{', '.join(sorted(str(e) for e in [*constants, *unknown]))} cannot be printed as "
                f"{self.language} code; write it with elementary functions."
            )
        return printed

    def _print_Symbol(self, expr):
        return self._names[expr]

    def _print_Rational(self, expr):
        if sympy.Rational(repr(float(expr))) == expr:
            return repr(float(expr))
        return f"({expr.numerator}/{expr.denominator})"

    _print_Half = _print_Rational

    def _print_Integer(self, expr):
        return str(int(expr))

    def _held(self, expr, least):
        """Print an operand, in parentheses unless it holds together at least so tightly."""
        printed = self._print(expr)
        return printed if _tightness(expr) >= least else f"({printed})"

    def _print_Add(self, expr):
        terms = [_signed(term) for term in expr.args]
        if terms[0][0] and not terms[1][0]:
            terms[:2] = terms[1::-1]  # b - a for -a + b, which rounds alike
        (sign, size), *others = terms
        printed = f"-{self._held(size, _PRODUCT)}" if sign else self._print(size)
        for sign, size in others:
            printed += f" {sign or '+'} {self._held(size, _PRODUCT)}"
        return printed

    def _print_Mul(self, expr):
        sign, size = _signed(expr)
        if sign:
            return f"-{self._held(size, _PRODUCT)}"
        printed = ""
        for factor in expr.args:
            divisor = _divisor(factor)
            if printed:
                mark, operand = ("*", factor) if divisor is None else ("/", divisor)
                printed += mark + self._held(operand, _ATOM)
            else:
                printed = self._held(factor, _PRODUCT)
        return printed

    def _print_Pow(self, expr):
        divisor = _divisor(expr)
        if divisor is not None:
            return f"1/{self._held(divisor, _ATOM)}"
        base, exponent = expr.args
        if exponent == sympy.Rational(1, 2):
            return f"{self.sqrt}({self._print(base)})"
        if _is_product(expr):
            return "*".join([self._held(base, _ATOM)] * int(exponent))
        return f"{self.pow}({self._print(base)}, {self._print(exponent)})"

    def _print_Piecewise(self, expr):
        *pairs, (printed, _) = [(self._print(e), self._print(c)) for e, c in expr.args]
        for value, condition in reversed(pairs):
            printed = self.choice.format(condition, value, printed)
        return printed


class JavaScript(_InOrder, JavascriptCodePrinter):
    """Print an expression as JavaScript; symbols are printed as ``names`` says."""

    sqrt, pow, choice = "Math.sqrt", "Math.pow", "({} ? {} : {})"


class Python(_InOrder, PythonCodePrinter):
    """Print an expression as Python that Numba compiles too."""

    sqrt, pow, choice = "sqrt", "pow", "({1} if {0} else {2})"

    def _print_Max(self, expr):
        return self._nested("maximum", expr)

    def _print_Min(self, expr):
        return self._nested("minimum", expr)

    def _nested(self, function, expr):
        printed, *others = map(self._print, expr.args)
        for other in others:
            printed = f"{function}({printed}, {other})"
        return printed

    def _print_sign(self, expr):
        return f"sign({self._print(expr.args[0])})"


def _signed(term):
    """Return ``"-"`` or ``""``, and the term without that sign."""
    if term.is_Number and term < 0:
        return "-", -term
    if term.is_Mul and term.args[0].is_Number and term.args[0] < 0:
        first, *others = term.args
        factors = others if first == -1 else [-first, *others]
        return "-", factors[0] if len(factors) == 1 else sympy.Mul(*factors, evaluate=False)
    return "", term


def _divisor(factor):
    """Return what a factor divides by, or None."""
    if not (factor.is_Pow and factor.exp.is_Rational and factor.exp < 0):
        return None
    return factor.base if factor.exp == -1 else sympy.Pow(factor.base, -factor.exp, evaluate=False)


def _tightness(expr):
    if expr.is_Add or _signed(expr)[0]:
        return _SUM
    return _PRODUCT if expr.is_Mul or _divisor(expr) or _is_product(expr) else _ATOM
