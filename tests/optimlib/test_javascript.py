"""JavaScript that the figures run: what is printed, and that an engine computes with it."""

import os
import subprocess
import sys

import numpy as np
import pytest
import sympy

from optimlib import RULES, SGD, AdaDelta, AdaGrad, Adam, FullAdaGrad, Nadam, Optimizer, Rprop
from optimlib.javascript import gradient_source, source, start
from optimlib.objectives import OBJECTIVES, quadratic, ravine
from optimlib.symbolic import namespace
from tests.optimlib import engine

X, Y = sympy.symbols("x y", real=True)


def test_adam_reads_like_its_equation():
    assert source(Adam) == (
        "function adam(t, x, g, s, h) {\n"
        "  const m = h.beta1*s.m + (1 - h.beta1)*g;\n"
        "  const v = h.beta2*s.v + (1 - h.beta2)*(g*g);\n"
        "  const m_hat = m/(1 - Math.pow(h.beta1, t));\n"
        "  const v_hat = v/(1 - Math.pow(h.beta2, t));\n"
        "  const update = h.lr*m_hat/(Math.sqrt(v_hat) + h.eps);\n"
        "  if (Number.isNaN(update) && Number.isFinite(g) && h.eps < 1.1754943508222875e-38) {\n"
        "    // With eps = 0 a term that is 0/0 counts as 0, which it is for every eps > 0.\n"
        "    const spare = adam(t, x, g, s, {...h, eps: 1});\n"
        "    return {x: spare.x, s: {m: m, v: v}};\n"
        "  }\n"
        "  return {x: x - update, s: {m: m, v: v}};\n"
        "}"
    )


def test_a_rule_without_a_division_has_no_case_for_zero_over_zero():
    for rule in ("SGD", "Momentum", "Nesterov", "Rprop"):
        assert "isNaN" not in source(RULES[rule])


def test_numbers_are_printed_in_place_but_for_an_eps_of_zero():
    text = source(Adam, lr=0.5, beta1=0.75, eps=0)
    assert "const m = 0.75*s.m + 0.25*g;" in text
    assert "const update = 0.5*m_hat/(Math.sqrt(v_hat) + h.eps);" in text
    assert source(Adam(eps=0.0)) == source(Adam)


def test_names_may_be_chosen():
    assert source(SGD, name="stepA").startswith("function stepA(t, x, g, s, h) {")
    assert "stepA(t, x, g, s, {...h" in source(Adam, name="stepA")
    assert start(SGD, name="first") == "function first(h) {\n  return {};\n}"


def test_the_first_memory():
    assert "return {step: h.lr, prev: 0};" in start(Rprop)
    assert "return {G: h.initial};" in start(AdaGrad(initial=0.1))
    assert "return {G: 0.1};" in start(AdaGrad, initial=0.1)
    assert "return {m: 0, v: 0, mu_product: 1};" in start(Nadam)


def test_the_text_is_the_same_in_every_process():
    code = (
        "from optimlib import RULES\nfrom optimlib.javascript import source, start\n"
        "print(*(f(r) for r in RULES.values() if r.elementwise for f in (source, start)))"
    )
    rules = [rule for rule in RULES.values() if rule.elementwise]
    here = " ".join(f(rule) for rule in rules for f in (source, start)) + "\n"
    for seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": seed}
        assert subprocess.check_output([sys.executable, "-c", code], text=True, env=env) == here


class Odd(Optimizer):
    """Has a slot that is a word of JavaScript, and powers of all kinds."""

    defaults = dict(lr=0.1, power=1.5)
    slots = dict(new=0.5, p=0.0)

    def update(self, xp, t, x, g, s, h):
        s.new = s.new + xp.abs(g) ** h.power
        s.p = s.p + g**3
        return h.lr * xp.where(g > 0, s.new**-0.5, s.p) / (t + s.new**-2)


def test_a_slot_may_have_any_name_and_a_rule_any_power():
    g, x, path = [0.5, -0.25, 2.0], 1.0, []
    opt = Odd()
    for gradient in g:
        x = float(opt.step(x, gradient))
        path.append(x)
    assert "const new_ = " in source(Odd)
    script = f"""
    {source(Odd)}
    {start(Odd)}
    const h = {{lr: 0.1, power: 1.5}};
    let state = {{x: 1, s: oddStart(h)}};
    answer(given.map((g, i) => (state = odd(i + 1, state.x, g, state.s, h)).x));
    """
    np.testing.assert_allclose(engine.run(script, g), path, rtol=1e-14)


def test_a_step_changes_none_of_its_arguments():
    script = f"""
    {source(AdaDelta)}
    const s = Object.freeze({{v: 0, D: 0}}), h = Object.freeze({{lr: 1, rho: 0.9, eps: 0}});
    answer(adadelta(1, 2, 0, s, h));
    """
    assert engine.run(script) == {"x": 2, "s": {"v": 0, "D": 0}}


def test_the_engine_inside_the_playwright_package(monkeypatch):
    monkeypatch.setattr(engine.shutil, "which", lambda name: None)
    assert engine.run("answer(6 * given);", 7) == 42


# ---------------------------------------------------------------- objectives


def test_objectives_and_their_gradients_equal_numpy():
    objectives = [*OBJECTIVES.values(), quadratic(50), ravine.rotated(30)]
    points = np.random.default_rng(2).uniform(-3, 3, size=(20, 2))
    printed = [gradient_source(f.formula(namespace, X, Y), (X, Y)) for f in objectives]
    script = f"answer([{', '.join(printed)}].map((f) => given.map((p) => f(p))));"
    for f, values in zip(objectives, engine.run(script, points.tolist()), strict=True):
        gradients = f.gradient(points)
        scale = np.maximum(1, np.abs(gradients).max())
        np.testing.assert_allclose([v["value"] for v in values], f.value(points), rtol=1e-13)
        np.testing.assert_allclose(
            [v["gradient"] for v in values], gradients, rtol=0, atol=1e-13 * scale
        )


def test_an_objective_with_a_parameter():
    k = sympy.Symbol("kappa", positive=True)
    text = gradient_source((X**2 + k * Y**2) / 2, (X, Y), name="bowl", parameters=[k])
    found = engine.run(f"{text}\nanswer(bowl([1, 2], {{kappa: 10}}));")
    assert found == {"value": 20.5, "gradient": [1, 20]}


def test_a_function_of_one_variable_with_a_constant_gradient():
    assert gradient_source(3 * X, [X], name="ramp") == (
        "function ramp(p, h) {\n"
        "  const [x] = p;\n"
        "  const value = 3*x;\n"
        "  return {value: value, gradient: [3]};\n"
        "}"
    )


# ---------------------------------------------------------------- wrong input


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: source(FullAdaGrad), TypeError, "FullAdaGrad works on vectors"),
        (lambda: start(FullAdaGrad), TypeError, "FullAdaGrad works on vectors"),
        (lambda: source(Adam, learning_rate=1), TypeError, "Did you mean lr"),
        (lambda: source(Adam, beta1=1 / (1 + X)), ValueError, "x has no name"),
        (lambda: gradient_source(X**2, [sympy.Symbol("x")]), ValueError, "must be declared real"),
        (
            lambda: gradient_source(X**2, [sympy.Symbol("x_{1}", real=True)]),
            ValueError,
            "cannot be a variable",
        ),
        (
            lambda: gradient_source(X**2, [sympy.Symbol("new", real=True)]),
            ValueError,
            "cannot be a variable",
        ),
        (lambda: gradient_source(X + Y, [X]), ValueError, "y has no name"),
        (lambda: gradient_source(sympy.gamma(X), [X]), ValueError, "gamma.* cannot be printed"),
    ],
)
def test_wrong_input(call, error, said):
    with pytest.raises(error, match=said):
        call()
