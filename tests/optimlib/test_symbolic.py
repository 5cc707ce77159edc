"""Rules as mathematics: exact expressions, unrolled sums, LaTeX, and wrong input."""

import importlib.util
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import sympy

from optimlib import (
    RULES,
    SGD,
    AdaGrad,
    Adam,
    AdamW,
    AMSGrad,
    FullAdaGrad,
    Momentum,
    Nadam,
    Optimizer,
    RMSProp,
    Rprop,
    symbolic,
)
from optimlib.symbolic import expression, latex, lines, unroll


def zero(expr):
    return sympy.simplify(expr) == 0


# ---------------------------------------------------------------- expressions


def test_adam_is_the_equation_of_the_book():
    adam = expression(Adam)
    s = adam.symbols
    eta, b1, b2, eps, t, g = (s[k] for k in ("lr", "beta1", "beta2", "eps", "t", "g"))
    m = b1 * s["m"] + (1 - b1) * g
    v = b2 * s["v"] + (1 - b2) * g**2
    assert adam.memory == {"m": m, "v": v}
    update = eta * (m / (1 - b1**t)) / (sympy.sqrt(v / (1 - b2**t)) + eps)
    assert zero(adam.update - update)
    assert adam.x == s["x"] - adam.update


@pytest.mark.parametrize("name", RULES)
def test_every_rule_has_an_expression_of_the_symbols_it_names(name):
    step = expression(RULES[name])
    slots = {**RULES[name]().active_slots(), **RULES[name].scalars}
    assert step.memory.keys() == slots.keys()
    used = set().union(*(e.free_symbols for e in (step.x, *step.memory.values())))
    if RULES[name].elementwise:
        assert used <= set(step.symbols.values())
        assert not any(e.atoms(sympy.Float) for e in (step.update, *step.memory.values()))


def test_symbols_know_what_they_are():
    s = expression(Nadam).symbols
    assert s["t"].is_integer
    assert s["t"].is_positive
    assert s["x"].is_real
    assert s["x"].is_positive is None
    assert s["v"].is_nonnegative
    assert s["mu_product"].is_positive
    assert all(s[k].is_positive for k in ("lr", "beta1", "beta2", "eps", "momentum_decay"))


def test_a_step_number_is_in_the_indices():
    step = expression(Adam, t=3)
    assert {str(step.symbols[k]) for k in ("x", "g", "m", "v")} == {
        "x_{2}", "g_{3}", "m_{2}", "v_{2}"
    }  # fmt: skip
    assert "t" not in step.symbols
    k = sympy.Symbol("k")
    assert str(expression(Adam, t=k).symbols["m"]) == "m_{k-1}"


@pytest.mark.parametrize(
    "number", [0.1, "1/10", Fraction(1, 10), sympy.Rational(1, 10), np.float64(0.1)]
)
def test_numbers_become_exact(number):
    number = sympy.Rational(number) if isinstance(number, str) else number
    step = expression(SGD, lr=number)
    assert step.update == step.symbols["g"] / 10
    assert "lr" not in step.symbols


def test_expressions_stand_in_for_hyperparameters():
    a = sympy.Symbol("a", positive=True)
    step = expression(Adam, beta1=1 / (1 + a), t=1)
    s = step.symbols
    assert zero(step.memory["m"] - (s["m"] + a * s["g"]) / (1 + a))
    root = expression(SGD, lr=sympy.sqrt(2))
    assert root.update == sympy.sqrt(2) * root.symbols["g"]


def test_zeros_leave_their_terms_out_and_instances_put_them_in():
    assert "weight_decay" not in expression(SGD).symbols
    assert "weight_decay" in expression(SGD(weight_decay=0.1)).symbols
    assert "weight_decay" not in expression(SGD(weight_decay=0.1), weight_decay=0).symbols
    assert "b" in expression(RMSProp(momentum=0.5)).memory
    assert "b" in expression(RMSProp, momentum=0.5).memory
    assert "b" not in expression(RMSProp).memory
    assert "b" not in expression(RMSProp(momentum=0.5), momentum=sympy.Integer(0)).memory
    assert "mean" in expression(RMSProp, centered=True).memory
    assert expression(Adam(eps=0.0)).update == expression(Adam, eps=0).update
    assert "eps_x" not in expression(RULES["AdaDelta"], eps_x=None).symbols


def test_schedules_and_sweeps_become_symbols():
    for lr in (lambda t: 0.1 / t, np.array([0.1, 0.2])):
        assert expression(SGD(lr=lr)).update == expression(SGD).update


def test_options_choose_the_form():
    s = expression(Adam).symbols
    c = 1 - s["beta2"] ** s["t"]
    plain, hat = (expression(Adam, eps_hat=hat).update for hat in (False, True))
    assert zero(hat - plain.subs(s["eps"], s["eps"] / sympy.sqrt(c)))
    bare = expression(Adam(bias_correction=False))
    assert "t" not in {str(symbol) for symbol in bare.update.free_symbols}


def test_momentum_does_not_dampen_the_first_step():
    step = expression(Momentum, dampening=sympy.Symbol("tau"))
    s = step.symbols
    assert step.memory["b"].subs(s["t"], 1) == s["momentum"] * s["b"] + s["g"]
    first = expression(Momentum, t=1, dampening=sympy.Symbol("tau"))
    assert first.memory["b"] == first.symbols["momentum"] * first.symbols["b"] + first.symbols["g"]
    assert zero(
        step.memory["b"].subs(s["t"], 2) - s["momentum"] * s["b"] - (1 - s["dampening"]) * s["g"]
    )


# ---------------------------------------------------------------- unrolled


@pytest.mark.parametrize("n", [1, 2, 7])
def test_the_moments_are_weighted_sums_of_the_gradients(n):
    run = unroll(Adam, n)
    for slot, beta, power in (("m", "beta1", 1), ("v", "beta2", 2)):
        b = run.symbols[beta]
        total = (1 - b) * sum(b ** (n - i) * g**power for i, g in enumerate(run.g, start=1))
        assert sympy.expand(run.memory[slot][n] - total) == 0


def test_equal_gradients_are_recovered_exactly_by_the_correction():
    g = sympy.Symbol("g", positive=True)
    run = unroll(Adam, 5, [g] * 5, eps=0)
    assert all(zero(update - run.symbols["lr"]) for update in run.update)


def test_gradient_descent_on_a_quadratic_is_a_power():
    k = sympy.Symbol("lambda", positive=True)
    run = unroll(SGD, 6, lambda x: k * x)
    assert zero(run.x[6] - (1 - run.symbols["lr"] * k) ** 6 * run.symbols["x"])
    assert len(run.x) == 7
    assert len(run.update) == len(run.g) == 6


def test_unrolling_starts_where_the_rule_starts():
    assert unroll(AdaGrad(initial=0.5), 0).memory["G"] == (
        unroll(AdaGrad(initial=0.5), 1).memory["G"][0],
    )
    start = unroll(AdaGrad, 1, initial=sympy.Rational(1, 2)).memory["G"]
    assert start[0] == sympy.Rational(1, 2)
    assert start[1] == sympy.Rational(1, 2) + sympy.Symbol("g_{1}", real=True) ** 2
    rprop = unroll(Rprop, 1)
    assert rprop.memory["step"][0] == rprop.symbols["lr"]
    assert unroll(Nadam, 1).memory["mu_product"][0] == 1
    assert unroll(RMSProp, 0).x == (unroll(RMSProp, 0).symbols["x"],)


def test_unrolling_takes_gradients_and_a_start_as_numbers():
    run = unroll(SGD, 2, [0.5, 1], x0=0.25, lr=0.1)
    assert run.x == (sympy.Rational(1, 4), sympy.Rational(1, 5), sympy.Rational(1, 10))
    assert unroll(SGD, 1, lambda x: 0.5 * x, x0=1, lr=0.1).x[1] == sympy.Rational(95, 100)


def test_nadam_stays_exact():
    run = unroll(Nadam, 2, [1, 2], x0=0, lr=1, beta1=0.5, beta2=0.5, eps=1, momentum_decay=1)
    assert not run.x[2].atoms(sympy.Float)
    opt, x = Nadam(lr=1.0, beta1=0.5, beta2=0.5, eps=1.0, momentum_decay=1.0), 0.0
    for g in (1.0, 2.0):
        x = opt.step(x, g)
    assert float(run.x[2]) == pytest.approx(float(x), rel=1e-15)


# ---------------------------------------------------------------- lines and LaTeX


def test_the_lines_are_those_of_the_code_and_put_together_give_the_expression():
    for rule in [r for r in RULES.values() if r.elementwise]:
        read, step = lines(rule), expression(rule)
        values = {}
        for symbol, value in read.equations:
            values[symbol] = value.xreplace(values).doit()
        assert zero(read.update.xreplace(values).doit() - step.update)
        for slot, symbol in read.memory.items():
            assert zero(values.get(symbol, symbol) - step.memory[slot])


def test_corrected_moments_get_their_hats():
    named = {name: str(symbol) for symbol, name in lines(Adam).names.items()}
    assert named == {
        "m": "m_{t}", "v": "v_{t}", "m_hat": r"\hat{m}_{t}", "v_hat": r"\hat{v}_{t}"
    }  # fmt: skip
    assert list(lines(AMSGrad).names.values()) == ["m", "v", "v_max", "m_hat", "v_max_hat"]
    assert list(lines(AMSGrad, corrected=True).names.values()) == [
        "m",
        "v",
        "v_hat",
        "v_max",
        "m_hat",
    ]
    assert list(lines(Adam, bias_correction=False).names.values()) == ["m", "v"]


def test_latex_of_adam():
    assert latex(Adam) == (
        "\\begin{aligned}\n"
        "m_{t} &= \\beta_{1} m_{t-1} + \\left(1 - \\beta_{1}\\right) g_{t} \\\\\n"
        "v_{t} &= \\beta_{2} v_{t-1} + \\left(1 - \\beta_{2}\\right) g_{t}^{2} \\\\\n"
        "\\hat{m}_{t} &= \\frac{m_{t}}{1 - \\beta_{1}^{t}} \\\\\n"
        "\\hat{v}_{t} &= \\frac{v_{t}}{1 - \\beta_{2}^{t}} \\\\\n"
        "x_{t} &= x_{t-1} - \\frac{\\eta \\hat{m}_{t}}{\\sqrt{\\hat{v}_{t}} + \\varepsilon}\n"
        "\\end{aligned}"
    )


def test_latex_has_no_trace_of_a_term_that_is_left_out():
    assert latex(AdaGrad).splitlines()[2] == (
        "x_{t} &= x_{t-1} - \\frac{\\eta g_{t}}{\\sqrt{G_{t}} + \\varepsilon}"
    )
    assert (
        latex(Adam, bias_correction=False, eps=0, beta1=0).splitlines()[1] == "m_{t} &= g_{t} \\\\"
    )


def test_latex_of_a_step():
    text = latex(AdamW, t=2)
    assert "m_{2} &= \\beta_{1} m_{1} + \\left(1 - \\beta_{1}\\right) g_{2}" in text
    assert text.splitlines()[-2] == (
        "x_{2} &= x_{1} - \\left(\\frac{\\eta \\hat{m}_{2}}{\\sqrt{\\hat{v}_{2}} + \\varepsilon}"
        " + \\eta \\lambda x_{1}\\right)"
    )


def test_latex_of_a_choice_is_one_choice():
    assert latex(Rprop).count("\\begin{cases}") == 2
    assert "cases" not in latex(Momentum)


def test_latex_of_the_matrix_form():
    assert latex(FullAdaGrad).splitlines()[1:-1] == [
        "G_{t} &= g_{t} g_{t}^{T} + G_{t-1} \\\\",
        "x_{t} &= - \\eta \\left(\\varepsilon \\mathbb{I} + G_{t}^{\\frac{1}{2}}\\right)^{-1} g_{t}"
        " + x_{t-1}",
    ]


def test_latex_is_the_same_in_every_process():
    code = "from optimlib import RULES, symbolic; print(*map(symbolic.latex, RULES.values()))"
    here = " ".join(map(latex, RULES.values())) + "\n"
    for seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": seed}
        assert subprocess.check_output([sys.executable, "-c", code], text=True, env=env) == here


# ---------------------------------------------------------------- a reader's own rules


class Twice(Optimizer):
    """Binds a slot twice in a step, and divides it by this and that."""

    defaults = dict(lr=0.1, beta=0.5)
    slots = dict(m=0.0)

    def update(self, xp, t, x, g, s, h):
        s.m = h.beta * s.m + g
        s.m = xp.maximum(s.m, 0) / (1 - h.beta**t)
        one, other = s.m / (1 + h.beta), s.m / (2 + h.beta)
        return one + one * other + s.m * h.lr + s.m / h.lr + s.m / (s.m + 1) - 0.25


def test_a_slot_may_be_bound_twice_and_corrected_in_two_ways():
    read = lines(Twice)
    assert list(read.names.values()) == ["m", "m_", "m__hat", "m__hat_"]
    assert [str(symbol) for symbol in read.names] == [
        "m_{t}", "m_{t}'", r"\hat{m}_{t}'", r"\hat{m}_{t}''"
    ]  # fmt: skip
    step = expression(Twice)
    s = step.symbols
    m = sympy.Max(s["beta"] * s["m"] + s["g"], 0) / (1 - s["beta"] ** s["t"])
    assert zero(step.memory["m"] - m)
    one, other = m / (1 + s["beta"]), m / (2 + s["beta"])
    update = one + one * other + m * s["lr"] + m / s["lr"] + m / (m + 1) - sympy.Rational(1, 4)
    assert zero(step.update - update)


class TwiceMatrix(FullAdaGrad):
    """Binds a matrix twice in a step."""

    def update(self, xp, t, x, g, s, h):
        s.G = s.G + xp.outer(g, g)
        s.G = 2 * s.G
        return h.lr * xp.inverse_root(s.G, h.eps)(g)


def test_a_matrix_may_be_bound_twice():
    assert [str(symbol) for symbol in lines(TwiceMatrix).names] == ["G_{t}", "G_{t}'"]


class Stray(SGD):
    """Remembers what its slots do not declare."""

    def update(self, xp, t, x, g, s, h):
        s.last = g
        return h.lr * g


def test_a_stray_memory_is_refused():
    for reader in (expression, lines):
        with pytest.raises(AttributeError, match=r"Stray.update sets s\.last"):
            reader(Stray)


class Namesakes(SGD):
    """Calls a slot what the step count is called."""

    slots = dict(t=0.0)


def test_two_things_of_one_name_are_refused():
    with pytest.raises(ValueError, match="Namesakes has two things called 't'"):
        expression(Namesakes)


# ---------------------------------------------------------------- vectors


def test_matrix_symbols_stand_for_any_size():
    step = expression(FullAdaGrad)
    n = step.symbols["g"].shape[0]
    assert step.symbols["G"].shape == (n, n)
    assert step.x.shape == (n, 1)
    run = unroll(FullAdaGrad, 2)
    g1, g2 = run.g
    assert run.memory["G"][2] == g1 * g1.T + g2 * g2.T


def test_a_vector_of_one_is_adagrad():
    matrix, plain = unroll(FullAdaGrad, 3, size=1), unroll(AdaGrad, 3)
    names = {a[0]: b for a, b in zip(matrix.g, plain.g, strict=True)}
    difference = matrix.update[2][0].subs(names) - plain.update[2]
    assert zero(difference)
    still = unroll(FullAdaGrad, 1, [sympy.zeros(1, 1)], size=1, eps=0)
    assert still.update[0] == sympy.zeros(1, 1)


# ---------------------------------------------------------------- wrong input


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: expression(3), TypeError, "expected an optimizer or its class"),
        (lambda: expression(int), TypeError, "expected an optimizer or its class"),
        (lambda: expression(Adam, learning_rate=1), TypeError, "Did you mean lr"),
        (lambda: expression(Adam, lr=-1), ValueError, "out of range"),
        (lambda: expression(Adam, beta1=sympy.Integer(1)), ValueError, "out of range"),
        (lambda: expression(Adam, lr="fast"), TypeError, "expected a real number"),
        (lambda: expression(Adam, lr=None), TypeError, "expected a real number"),
        (lambda: expression(Adam, lr=[0.1, 0.2]), TypeError, "lr is an array; give a number"),
        (lambda: expression(Adam, eps_hat=1), TypeError, "expected True or False"),
        (lambda: expression(Adam, t=0), ValueError, "t=0; expected a whole number >= 1"),
        (lambda: expression(Adam, t=1.5), ValueError, "t=1.5; expected a whole number >= 1"),
        (lambda: expression(Adam, size=2), ValueError, "treats each coordinate alone"),
        (lambda: expression(FullAdaGrad, size=3), ValueError, "closed form for 1 and 2"),
        (lambda: unroll(Adam, -1), ValueError, "steps=-1; expected a whole number >= 0"),
        (lambda: unroll(Adam, 2, [1]), ValueError, "1 gradients for 2 steps"),
    ],
)
def test_wrong_input(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_without_sympy_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sympy", None)
    spec = importlib.util.find_spec("optimlib.symbolic")
    with pytest.raises(ImportError, match=r"pip install 'optimlib\[symbolic\]'"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_the_package_does_not_import_sympy():
    code = (
        "import optimlib, sys; print([m for m in ('sympy', 'pint', 'numba') if m in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


def test_evaluation_is_on_again_after_a_rule_was_read():
    lines(Adam)
    with pytest.raises(TypeError):
        expression(Adam, lr=None)
    x = sympy.Symbol("x")
    assert x + x == 2 * x
    assert symbolic.namespace.sqrt(4) == 2
