"""Printed code does the operations of the formula, in its order: equal to the last bit."""

import math

import numpy as np
import pytest
import sympy

from optimlib.printing import JavaScript, Python, shared
from tests.optimlib import engine

FORMULAS = [
    lambda a, b, c: a - (b - c),
    lambda a, b, c: (a - b) - c,
    lambda a, b, c: a + (b + c),
    lambda a, b, c: (a + b) + c,
    lambda a, b, c: a - -b,
    lambda a, b, c: -a - b,
    lambda a, b, c: -a + b - c,
    lambda a, b, c: -(a + b) * c,
    lambda a, b, c: c * -(a + b),
    lambda a, b, c: a * (b * c),
    lambda a, b, c: (a * b) * c,
    lambda a, b, c: a / b / c,
    lambda a, b, c: a / (b / c),
    lambda a, b, c: a / (b * c),
    lambda a, b, c: a * (b / c),
    lambda a, b, c: a * b / c,
    lambda a, b, c: a / b * c,
    lambda a, b, c: 1 / a / b,
    lambda a, b, c: 1 / (a - b),
    lambda a, b, c: a * b**2,
    lambda a, b, c: b / a**2,
    lambda a, b, c: b**2 / c,
    lambda a, b, c: (a * b) ** 2,
    lambda a, b, c: (a - b) ** 2 * c - b,
    lambda a, b, c: -(a**2) + b,
    lambda a, b, c: (-a) ** 2 * b,
    lambda a, b, c: 2 * a - 3 / b,
    lambda a, b, c: -2 * a + 0.1 * b,
    lambda a, b, c: 0.3 * a * -3,
    lambda a, b, c: (1 - a) * (b**2) / ((1 - a) + c),
    lambda a, b, c: (a + b) * (a + b) - c / (a + b),
    lambda a, b, c: (1 - a / 3) * b,
    lambda a, b, c: c / (a + b) - a / (a + b),
    lambda a, b, c: -2.5 - a,
]
POINTS = np.random.default_rng(4).uniform(0.1, 10, size=(20, 3))
SYMBOLS = sympy.symbols("a b c", real=True)
NAMES = {symbol: symbol.name for symbol in SYMBOLS}


def printed(formula, printer):
    """Return the lines of code that leave the value of a formula in ``result``."""
    names = {**NAMES, (result := sympy.Symbol("result")): "result"}
    with sympy.evaluate(False):
        expr = sympy.sympify(formula(*SYMBOLS))
    return [
        (names[symbol], printer(names).print(value))
        for symbol, value in shared([(result, expr)], names)
    ]


@pytest.mark.parametrize("i", range(len(FORMULAS)))
def test_python_does_the_same_operations(i):
    lines = printed(FORMULAS[i], Python)
    for point in POINTS.tolist():
        scope = dict(zip("abc", point, strict=True))
        exec("\n".join(f"{name} = {value}" for name, value in lines), {}, scope)
        assert scope["result"] == FORMULAS[i](*point)


def test_javascript_does_the_same_operations():
    functions = []
    for formula in FORMULAS:
        body = " ".join(f"const {name} = {value};" for name, value in printed(formula, JavaScript))
        functions.append(f"(a, b, c) => {{ {body} return result; }}")
    script = f"answer([{', '.join(functions)}].map((f) => given.map((point) => f(...point))));"
    for formula, values in zip(FORMULAS, engine.run(script, POINTS.tolist()), strict=True):
        assert values == [formula(*point) for point in POINTS.tolist()]


a, b, c = SYMBOLS


@pytest.mark.parametrize(
    ("expr", "javascript", "python"),
    [
        (sympy.sqrt(a), "Math.sqrt(a)", "sqrt(a)"),
        (1 / sympy.sqrt(a), "1/Math.sqrt(a)", "1/sqrt(a)"),
        (b / sympy.sqrt(a), "b/Math.sqrt(a)", "b/sqrt(a)"),
        (a**b, "Math.pow(a, b)", "pow(a, b)"),
        (a**5, "Math.pow(a, 5)", "pow(a, 5)"),
        (a**-3, "1/(a*a*a)", "1/(a*a*a)"),
        ((a - b) ** 2, "(a - b)*(a - b)", "(a - b)*(a - b)"),
        (a / 3, "(1/3)*a", "(1/3)*a"),
        (a / 4, "0.25*a", "0.25*a"),
        (sympy.Integer(-3), "-3", "-3"),
        (a - 2, "a - 2", "a - 2"),
        (sympy.Max(a, b, 0), "Math.max(0, a, b)", "maximum(maximum(0, a), b)"),
        (sympy.Min(a, b), "Math.min(a, b)", "minimum(a, b)"),
        (sympy.Abs(a), "Math.abs(a)", "abs(a)"),
        (sympy.sign(a), "Math.sign(a)", "sign(a)"),
        (sympy.exp(a), "Math.exp(a)", "math.exp(a)"),
        (
            sympy.Piecewise((a, b > 0), (b, b < 0), (c, True)),
            "(b > 0 ? a : (b < 0 ? b : c))",
            "(a if (b > 0) else (b if (b < 0) else c))",
        ),
    ],
)
def test_what_is_printed(expr, javascript, python):
    assert JavaScript(NAMES).print(expr) == javascript
    assert Python(NAMES).print(expr) == python


def test_python_prints_what_python_computes():
    scope = {"sqrt": math.sqrt, "a": 2.0}
    assert eval(Python(NAMES).print(1 / sympy.sqrt(a)), scope) == 1 / math.sqrt(2)


def test_what_recurs_gets_a_name_that_is_free():
    y, z = sympy.symbols("y z")
    names = {**NAMES, a: "r1", y: "y", z: "z"}
    equations = shared([(y, sympy.sqrt(a + b)), (z, (a + b) / c)], names)
    assert [str(left) for left, _ in equations] == ["r2", "y", "z"]
    assert names[equations[0][0]] == "r2"
    assert equations[0][1] == a + b
    assert equations[1][1] == sympy.sqrt(equations[0][0])


def test_what_is_squared_is_computed_once():
    y = sympy.Symbol("y")
    equations = shared([(y, (a + b) ** 2)], dict(NAMES))
    assert [value for _, value in equations] == [a + b, equations[0][0] ** 2]


def test_signs_divisors_and_leaves_do_not_count_as_recurring():
    y, z = sympy.symbols("y z")
    with sympy.evaluate(False):
        given = [(y, b - a), (z, c / a - a)]
    assert shared(given, dict(NAMES)) == given


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        (sympy.Symbol("q") + a + sympy.Symbol("p"), "p, q has no name in the printed code"),
        (sympy.airyai(a), r"airyai\(a\) cannot be printed as JavaScript"),
        (a * sympy.EulerGamma, "EulerGamma.* cannot be printed as JavaScript"),
    ],
)
def test_what_cannot_be_printed(expr, said):
    with pytest.raises(ValueError, match=said):
        JavaScript(NAMES).print(expr)
